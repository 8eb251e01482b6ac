/*
 * pem - certificates and keys as texts (RFC 7468), held against what OpenSSL makes of them, so that a call does
 * not fail on what nobody can read.
 *
 * Pure. Threads: any. Problems are sentences without anything of the text.
 */
#pragma once

/* Each NULL when there is nothing to complain of. */
const char *pem_certificates_problem(const char *text); /* one or more */
const char *pem_key_problem(const char *text);          /* one private key, without a passphrase */
/* Both have passed: that the key is the first certificate's. */
const char *pem_pair_problem(const char *certificates, const char *key);
