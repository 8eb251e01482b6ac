#include "api/ticket.h"

#include <endian.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* What follows is of our own making: ids and keys of the configuration, far shorter. */
enum { MAC_BYTES = crypto_auth_BYTES, END_BYTES = 8, TOKEN_CHARS_MAX = 2048 };
enum { VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };
_Static_assert(crypto_kdf_KEYBYTES == 32, "DOCKET_APP_ENCRYPTION_KEY");
_Static_assert(sizeof(usec_t) == END_BYTES, "end");

/* Not the key itself, with which access and reply tokens are sealed. */
static void ticket_key(const char *key, uint8_t ret[crypto_auth_KEYBYTES])
{
    if (crypto_kdf_derive_from_key(ret, crypto_auth_KEYBYTES, 1, "dkt_link", (const uint8_t *)key) != 0)
        abort();
}

const char *ticket_make(const char *key, const struct ticket *ticket, struct arena *arena)
{
    size_t id = strlen(ticket->request_id) + 1, rule = strlen(ticket->rule_key);
    size_t length = MAC_BYTES + END_BYTES + id + rule;
    size_t chars = sodium_base64_encoded_len(length, VARIANT);
    uint8_t *bytes = arena_alloc(arena, length), subkey[crypto_auth_KEYBYTES];
    uint64_t end = htobe64((uint64_t)ticket->ends_at);

    memcpy(bytes + MAC_BYTES, &end, END_BYTES);
    memcpy(bytes + MAC_BYTES + END_BYTES, ticket->request_id, id);
    memcpy(bytes + MAC_BYTES + END_BYTES + id, ticket->rule_key, rule);
    ticket_key(key, subkey);
    crypto_auth(bytes, bytes + MAC_BYTES, length - MAC_BYTES, subkey);
    sodium_memzero(subkey, sizeof(subkey));
    return sodium_bin2base64(arena_alloc(arena, chars), chars, bytes, length, VARIANT);
}

/* The token's bytes when its MAC is right, ended by NUL; NULL otherwise. */
static const uint8_t *token_bytes(const char *key, const char *token, struct arena *arena, size_t *length)
{
    size_t chars = strlen(token);
    uint8_t *bytes, subkey[crypto_auth_KEYBYTES];
    int wrong;

    if (chars > TOKEN_CHARS_MAX)
        return NULL;
    bytes = arena_alloc(arena, chars + 1);
    if (sodium_base642bin(bytes, chars, token, chars, NULL, length, NULL, VARIANT) != 0 ||
        *length <= MAC_BYTES + END_BYTES)
        return NULL;
    ticket_key(key, subkey);
    wrong = crypto_auth_verify(bytes, bytes + MAC_BYTES, *length - MAC_BYTES, subkey);
    sodium_memzero(subkey, sizeof(subkey));
    return wrong ? NULL : bytes;
}

int ticket_open(const char *key, const char *token, usec_t now, struct arena *arena, struct ticket *ret, struct err *err)
{
    size_t length;
    const uint8_t *bytes = token_bytes(key, token, arena, &length);
    struct ticket ticket;
    uint64_t end;

    if (!bytes)
        return err_set(err, ERR_FORBIDDEN, "This link is not valid.");
    memcpy(&end, bytes + MAC_BYTES, END_BYTES);
    ticket.ends_at = (usec_t)be64toh(end);
    ticket.request_id = (const char *)bytes + MAC_BYTES + END_BYTES;
    ticket.rule_key = ticket.request_id + strlen(ticket.request_id) + 1;
    if (now >= ticket.ends_at)
        return err_set(err, ERR_GONE, "This link has ended.");
    *ret = ticket;
    return 0;
}
