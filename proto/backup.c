/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/backup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define BEGINS     "ZOTBACKUP"
#define BEGINS_LEN (sizeof(BEGINS) - 1)
#define FIXED      (BEGINS_LEN + 1 + 4) /* before the head */
#define SUM        32
#define HEAD_NODES 64
#define ENTITIES   100000u /* of the leaders' own */
#define NODE_SHARE 6       /* an entity takes more memory than this for each of its nodes */

_Static_assert(BACKUP_FORMAT == 1, "the document begins with it");

/* Keys. */

enum { KDF_NONE, KDF_RAW, KDF_SCRYPT, KDFS };
static const char *const kdf_names[KDFS] = { "", "raw", "scrypt" };

struct backup_key {
	int kdf;
	char *passphrase;
	bool made; /* the key is that of the salt */
	uint8_t salt[CRYPTO_SALT], key[CRYPTO_KEY];
};

bool backup_key_new(struct backup_key **ret_key, struct str text, struct error *err)
{
	struct backup_key *key;
	uint8_t raw[CRYPTO_KEY];
	bool is_raw = str_unhex(text, raw, sizeof(raw));

	if (!is_raw && text.len < BACKUP_PASSPHRASE_LEAST)
		return error_set(err, ERROR_INVALID, NULL,
			"needs 64 lower case hex digits, or a passphrase of %u bytes at least",
			BACKUP_PASSPHRASE_LEAST);
	key = xnew(struct backup_key);
	key->kdf = is_raw ? KDF_RAW : KDF_SCRYPT;
	key->made = is_raw;
	if (is_raw)
		memcpy(key->key, raw, sizeof(raw));
	else
		key->passphrase = str_dup(text);
	explicit_bzero(raw, sizeof(raw));
	*ret_key = key;
	return true;
}

void backup_key_free(struct backup_key *key)
{
	if (!key)
		return;
	if (key->passphrase)
		explicit_bzero(key->passphrase, strlen(key->passphrase));
	free(key->passphrase);
	explicit_bzero(key, sizeof(*key));
	free(key);
}

/* The same salt is used again: it costs time, and each document has a nonce of its own. */
static void make_key(struct backup_key *key, const uint8_t salt[CRYPTO_SALT])
{
	if (key->kdf == KDF_RAW || (key->made && !memcmp(key->salt, salt, CRYPTO_SALT)))
		return;
	memcpy(key->salt, salt, CRYPTO_SALT);
	crypto_key_of(str_of(key->passphrase), salt, key->key);
	key->made = true;
}

static void make_any_key(struct backup_key *key)
{
	uint8_t salt[CRYPTO_SALT];

	if (key->made)
		return;
	random_bytes(salt, sizeof(salt));
	make_key(key, salt);
}

/* Out. */

static void put_bytes(struct buf *into, const char *name, const uint8_t *bytes, size_t len)
{
	pack_str(into, str_of(name));
	pack_bin(into, str_from(bytes, len));
}

static void put_number(struct buf *into, const char *name, uint64_t number)
{
	pack_str(into, str_of(name));
	pack_uint(into, number);
}

static void put_text(struct buf *into, const char *name, const char *text)
{
	pack_str(into, str_of(name));
	pack_str(into, str_of(text));
}

static void write_head(const struct state *state, int64_t written_ms, const struct backup_key *key,
	const uint8_t nonce[CRYPTO_NONCE], struct buf *into)
{
	pack_map(into, key ? 8 : 6);
	put_text(into, "cluster", state_history(state)->cluster);
	put_number(into, "generation", state_history(state)->generation);
	put_number(into, "revision", state_revision(state));
	put_bytes(into, "digest", state_digest(state), STATE_DIGEST_BYTES);
	put_number(into, "written_ms", (uint64_t)written_ms);
	put_text(into, "kdf", kdf_names[key ? key->kdf : KDF_NONE]);
	if (key) {
		put_bytes(into, "salt", key->salt, CRYPTO_SALT);
		put_bytes(into, "nonce", nonce, CRYPTO_NONCE);
	}
}

static void write_leaders(const struct state *state, struct buf *into)
{
	size_t len = 0;

	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		if (entity_kind_is_leaders((enum entity_kind)kind))
			len += state_count(state, (enum entity_kind)kind);
	pack_str(into, STR("leaders"));
	pack_array(into, len);
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++) {
		if (!entity_kind_is_leaders((enum entity_kind)kind))
			continue;
		for (size_t i = 0; i < state_count(state, (enum entity_kind)kind); i++)
			entity_encode(state_at(state, (enum entity_kind)kind, i), into);
	}
}

static void write_body(const struct state *state, struct buf *into)
{
	AUTO_FINI(buf) full = buf_limit(STATE_BYTES_MAX);

	state_encode_full(state, &full);
	pack_map(into, 2);
	pack_str(into, STR("state"));
	pack_bin(into, buf_str(&full));
	write_leaders(state, into);
	into->failed |= full.failed;
}

static void write_open(struct str head, struct buf *into)
{
	const uint8_t len[4] = { 0, 0, (uint8_t)(head.len >> 8), (uint8_t)head.len };

	CHECK(FIXED + head.len <= BACKUP_HEAD_MAX);
	buf_puts(into, BEGINS);
	buf_putc(into, (char)('0' + BACKUP_FORMAT));
	buf_append(into, len, sizeof(len));
	buf_add(into, head);
}

static void write_sum(struct buf *into)
{
	uint8_t sum[HASH_MAX];

	if (into->failed)
		return;
	hash_bytes(HASH_SHA256, into->at, into->len, sum);
	buf_append(into, sum, SUM);
}

void backup_encode(const struct state *state, int64_t written_ms, struct backup_key *key, struct buf *into)
{
	AUTO_FINI(buf) head = buf_limit(BACKUP_HEAD_MAX);
	AUTO_FINI(buf) body = buf_limit(BACKUP_BYTES_MAX);
	AUTO_FINI(buf) open = buf_limit(BACKUP_HEAD_MAX);
	uint8_t nonce[CRYPTO_NONCE];

	if (key)
		make_any_key(key);
	random_bytes(nonce, sizeof(nonce));
	write_head(state, written_ms, key, nonce, &head);
	write_open(buf_str(&head), &open);
	write_body(state, &body);
	buf_add(into, buf_str(&open));
	if (key)
		crypto_seal(key->key, nonce, buf_str(&open), buf_str(&body), into);
	else
		buf_add(into, buf_str(&body));
	into->failed |= body.failed;
	write_sum(into);
}

/* In. */

static bool invalid(struct error *err, const char *why)
{
	return error_set(err, ERROR_INVALID, NULL, "%s", why);
}

struct parts {
	struct backup_head head;
	int kdf;
	uint8_t salt[CRYPTO_SALT], nonce[CRYPTO_NONCE];
	size_t open; /* bytes before the body */
};

static bool check_format(struct str first, struct error *err)
{
	if (!str_skip(&first, BEGINS) || !first.len || *first.at < '1' || *first.at > '9')
		return invalid(err, "not a backup of a state");
	if (*first.at > '0' + BACKUP_FORMAT)
		return error_set(err, ERROR_INVALID, NULL,
			"a backup of format %c, made by a newer version; this one (" ZOT_VERSION
			") reads %d at most and needs an upgrade",
			*first.at, BACKUP_FORMAT);
	return true;
}

static bool take_bytes(const struct pack_node *root, const char *name, uint8_t *into, size_t len)
{
	struct str bytes;

	if (!pack_get_str(pack_find(root, name), &bytes) || bytes.len != len)
		return false;
	memcpy(into, bytes.at, len);
	return true;
}

static bool take_kdf(const struct pack_node *root, struct parts *parts)
{
	struct str name;

	if (!pack_get_str(pack_find(root, "kdf"), &name))
		return false;
	while (parts->kdf < KDFS && !str_is(name, kdf_names[parts->kdf]))
		parts->kdf++;
	if (parts->kdf == KDFS)
		return false;
	parts->head.sealed = parts->kdf != KDF_NONE;
	return !parts->head.sealed || (take_bytes(root, "salt", parts->salt, sizeof(parts->salt)) &&
					      take_bytes(root, "nonce", parts->nonce, sizeof(parts->nonce)));
}

static bool take_head(const struct pack_node *root, struct parts *parts)
{
	struct backup_head *head = &parts->head;
	uint64_t generation, written;
	struct str cluster;

	if (!pack_get_str(pack_find(root, "cluster"), &cluster) ||
		!pack_get_uint(pack_find(root, "generation"), &generation) ||
		!history_set(&head->history, cluster, generation) ||
		!pack_get_uint(pack_find(root, "revision"), &head->revision) || head->revision > INT64_MAX ||
		!pack_get_uint(pack_find(root, "written_ms"), &written) || written > INT64_MAX)
		return false;
	head->written_ms = (int64_t)written;
	return take_bytes(root, "digest", head->digest, sizeof(head->digest)) && take_kdf(root, parts);
}

static bool read_parts(struct str bytes, struct parts *ret, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	struct parts parts = { 0 };
	const uint8_t *at = (const uint8_t *)bytes.at + BEGINS_LEN + 1;
	size_t len;

	if (!check_format(bytes, err))
		return false;
	if (bytes.len < FIXED)
		return invalid(err, "truncated in its head");
	len = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
	if (len > BACKUP_HEAD_MAX - FIXED)
		return invalid(err, "damaged: its head is too long");
	if (len > bytes.len - FIXED)
		return invalid(err, "truncated in its head");
	if (!pack_parse_within(str_from(bytes.at + FIXED, len), HEAD_NODES, &doc, err) ||
		!take_head(pack_root(doc), &parts))
		return invalid(err, "damaged: its head is none");
	parts.open = FIXED + len;
	*ret = parts;
	return true;
}

bool backup_read_head(struct str first, struct backup_head *ret, struct error *err)
{
	struct parts parts;

	if (!read_parts(first, &parts, err))
		return error_add(err, "backup");
	*ret = parts.head;
	return true;
}

int64_t backup_age_ms(const struct backup_head *head, int64_t wall_ms)
{
	return wall_ms > head->written_ms ? wall_ms - head->written_ms : 0;
}

static bool check_sum(struct str bytes, const struct parts *parts, struct str *ret_body, struct error *err)
{
	uint8_t sum[HASH_MAX];
	size_t end = bytes.len - SUM;

	if (bytes.len < parts->open + SUM)
		return invalid(err, "truncated");
	hash_bytes(HASH_SHA256, bytes.at, end, sum);
	if (memcmp(sum, bytes.at + end, SUM) != 0)
		return invalid(err, "truncated or damaged: its digest does not match");
	*ret_body = str_from(bytes.at + parts->open, end - parts->open);
	return true;
}

/* What was wrong with the key is told apart, so that who restores knows which one to look for. */
static bool check_key(const struct parts *parts, const struct backup_key *key, struct error *err)
{
	if (!key)
		return invalid(err, "it is sealed, and CLUSTER_BACKUP_KEY is not set");
	if (key->kdf == parts->kdf)
		return true;
	return invalid(
		err, parts->kdf == KDF_RAW
			     ? "it is sealed with a key of 64 hex digits, and CLUSTER_BACKUP_KEY is a "
			       "passphrase"
			     : "it is sealed with a passphrase, and CLUSTER_BACKUP_KEY is a key of 64 hex "
			       "digits");
}

static bool open_body(struct str bytes, const struct parts *parts, struct backup_key *key, struct str *body,
	struct buf *plain, struct error *err)
{
	if (!parts->head.sealed)
		return true;
	if (!check_key(parts, key, err))
		return false;
	make_key(key, parts->salt);
	if (!crypto_unseal(key->key, parts->nonce, str_from(bytes.at, parts->open), *body, plain))
		return invalid(err, "CLUSTER_BACKUP_KEY is not the one that it is sealed with");
	*body = buf_str(plain);
	return true;
}

static bool check_named(const struct backup_head *head, const struct state *state, struct error *err)
{
	return (state_is(state, head->revision, head->digest) &&
		       history_same(state_history(state), &head->history)) ||
	       invalid(err, "damaged: its state is not the one that its head names");
}

struct entities {
	struct entity **at;
	size_t len;
};

static void entities_fini(struct entities *entities)
{
	for (size_t i = 0; i < entities->len; i++)
		entity_free(entities->at[i]);
	free(entities->at);
}

static bool check_entity(const struct entity *entity, const struct backup_head *head, struct error *err)
{
	return (entity_kind_is_leaders(entity_kind(entity)) && !entity_is_deleted(entity) &&
		       entity_revision(entity) <= head->revision) ||
	       invalid(err, "not one of the leaders' own, or of a later revision");
}

static bool read_leaders(const struct pack_node *list, const struct backup_head *head,
	struct entities *entities, struct error *err)
{
	size_t len = pack_len(list);

	if (!pack_is_array(list) || len > ENTITIES)
		return error_set(err, ERROR_INVALID, NULL, "leaders: must be a list of at most %u", ENTITIES);
	entities->at = xnew_array(struct entity *, len + 1);
	for (size_t i = 0; i < len; i++) {
		if (!entity_decode(pack_at(list, i), &entities->at[i], err))
			return error_add(err, "leaders[%zu]", i);
		entities->len++;
		if (!check_entity(entities->at[i], head, err))
			return error_add(err, "leaders[%zu]", i);
	}
	return true;
}

static bool add_leaders(
	const struct pack_node *list, const struct backup_head *head, struct state **state, struct error *err)
{
	AUTO_FINI(entities) entities = { 0 };
	struct state *with;

	if (!read_leaders(list, head, &entities, err))
		return false;
	with = state_change(*state, entities.at, entities.len, head->revision);
	state_free(*state);
	*state = with;
	return true;
}

static bool read_body(struct str body, const struct backup_head *head, enum backup_for whom, size_t most,
	struct state **ret_state, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	AUTO(state) *state = NULL;
	struct str full;
	bool whole;

	if (!pack_parse_within(body, most / NODE_SHARE, &doc, err))
		return false;
	if (!pack_get_str(pack_find(pack_root(doc), "state"), &full))
		return invalid(err, "state: is missing");
	if (!state_apply_within(most, full, NULL, &state, &whole, err) || !check_named(head, state, err))
		return false;
	if (whom == BACKUP_FOR_LEADER &&
		!add_leaders(pack_find(pack_root(doc), "leaders"), head, &state, err))
		return false;
	*ret_state = TAKE(state);
	return true;
}

bool backup_decode(struct str bytes, struct backup_key *key, enum backup_for whom, size_t most,
	struct state **ret_state, struct error *err)
{
	AUTO_FINI(buf) plain = buf_limit(BACKUP_BYTES_MAX);
	struct parts parts;
	struct str body;

	return (read_parts(bytes, &parts, err) && check_sum(bytes, &parts, &body, err) &&
		       open_body(bytes, &parts, key, &body, &plain, err) &&
		       read_body(body, &parts.head, whom, most, ret_state, err)) ||
	       error_add(err, "backup");
}
