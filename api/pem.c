#include "api/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

#include "common/cleanup.h"

DEFINE_CLEANUP(BIO *, BIO_free)
DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)

static BIO *open_text(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, (int)strlen(text)); /* bounded by the caller */

    if (!bio)
        abort();
    ERR_clear_error();
    return bio;
}

/* OpenSSL would ask for one at the terminal. */
static int no_passphrase(char *text, int size, int writes, void *context)
{
    (void)text;
    (void)size;
    (void)writes;
    (void)context;
    return -1;
}

/* NULL at the end, and for what is none. */
static X509 *next_certificate(BIO *bio)
{
    return PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
}

static EVP_PKEY *read_key(const char *text)
{
    _cleanup_(BIO_freep) BIO *bio = open_text(text);

    return PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
}

/* Why reading stopped, and leaves no errors to whoever uses OpenSSL next on this thread. */
static bool is_end(void)
{
    unsigned long error = ERR_peek_last_error();

    ERR_clear_error();
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

const char *pem_certificates_problem(const char *text)
{
    _cleanup_(BIO_freep) BIO *bio = open_text(text);
    X509 *certificate;
    int count = 0;

    while ((certificate = next_certificate(bio))) {
        X509_free(certificate);
        count++;
    }
    if (!is_end())
        return "This holds something that is no certificate.";
    return count ? NULL : "This must be one or more certificates in PEM form.";
}

const char *pem_key_problem(const char *text)
{
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = read_key(text);

    ERR_clear_error();
    return key ? NULL : "This must be a private key in PEM form, without a passphrase.";
}

const char *pem_pair_problem(const char *certificates, const char *key)
{
    _cleanup_(BIO_freep) BIO *bio = open_text(certificates);
    _cleanup_(X509_freep) X509 *first = next_certificate(bio);
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *own = read_key(key);
    bool fits = first && own && X509_check_private_key(first, own) == 1;

    ERR_clear_error();
    return fits ? NULL : "This key is not the certificate's.";
}
