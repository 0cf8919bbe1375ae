/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/own_key.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "proto/apikey.h"
#include "proto/timestamp.h"

#define NEVER    "0001-01-01T00:00:00Z"
#define ID_BYTES 12

/* What is asked. */

struct wish {
	struct str label;
	const struct json *scopes; /* or NULL */
	int64_t valid_until;       /* 0: for ever */
};

static bool read_date(const struct json *value, int64_t now_s, struct wish *wish, struct error *err)
{
	struct str text;

	if (!json_get_str(value, &text))
		return error_set(err, ERROR_INVALID, NULL, "expirationDate: must be a text");
	if (!text.len || str_starts(text, "0001-01-01"))
		return true;
	if (!timestamp_parse(text, &wish->valid_until, err))
		return error_add(err, "expirationDate");
	return wish->valid_until > now_s ||
	       error_set(err, ERROR_INVALID, NULL, "expirationDate: is in the past");
}

static bool unknown_member(struct str key, struct error *err)
{
	static const char *const known[] = { "label", "scopes", "expirationDate" };
	const char *near = str_nearest(key, known, 3);

	return error_set(err, ERROR_INVALID, NULL, "unknown member \"%.*s\"%s%s%s",
		(int)(key.len < 60 ? key.len : 60), key.at, near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "; known are \"label\", \"scopes\" and \"expirationDate\"");
}

static bool read_member(
	struct str key, const struct json *value, int64_t now_s, struct wish *wish, struct error *err)
{
	if (json_kind(value) == JSON_NULL)
		return true;
	if (str_is_nocase(key, "expirationDate"))
		return read_date(value, now_s, wish, err);
	if (str_is_nocase(key, "label"))
		return json_get_str(value, &wish->label) ||
		       error_set(err, ERROR_INVALID, NULL, "label: must be a text");
	if (!str_is_nocase(key, "scopes"))
		return unknown_member(key, err);
	wish->scopes = value;
	return true;
}

static bool read_wish(const struct json *root, int64_t now_s, struct wish *ret, struct error *err)
{
	const struct json *value;
	struct str key;

	*ret = (struct wish){ .label = STR("") };
	if (json_kind(root) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, NULL, "the body must be a JSON object");
	for (void *it = NULL; json_next(root, &it, &key, &value);)
		if (!read_member(key, value, now_s, ret, err))
			return false;
	return true;
}

/* The key, by the same table as any. */

/* What is cut is cut between two characters. */
static struct str cut_agent(const char *agent)
{
	struct str rest = str_of(agent);
	size_t len = 0, one;

	while ((one = str_utf8_len(rest)) && len + one <= OWN_KEY_AGENT) {
		rest = str_from(rest.at + one, rest.len - one);
		len += one;
	}
	return str_from(agent, len);
}

static void write_metadata(struct json_writer *w, const struct own_key_maker *maker)
{
	char now[CLOCK_RFC3339_SIZE];
	struct str agent = cut_agent(maker->agent);

	clock_rfc3339(maker->now_s * 1000, now);
	json_key(w, STR("metadata"));
	json_open_object(w);
	json_put_text(w, "createdAt", now);
	if (agent.len)
		json_put_str(w, "creatorUa", agent);
	json_close_object(w);
}

static void write_whole(
	struct json_writer *w, const struct wish *wish, const struct own_key_maker *maker, const char *hash)
{
	json_open_object(w);
	json_put_text(w, "owner", maker->owner);
	json_put_str(w, "label", wish->label);
	json_put_text(w, "secretHash", hash);
	if (wish->scopes) {
		json_key(w, STR("scopes"));
		json_value_node(w, wish->scopes);
	}
	json_put_int(w, "validUntil", wish->valid_until);
	write_metadata(w, maker);
	json_close_object(w);
}

static bool make(const struct wish *wish, const struct own_key_maker *maker, const char *hash,
	struct entity **ret_key, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit((size_t)4 * OWN_KEY_BODY_MAX);
	AUTO(json_doc) *whole = NULL;
	struct json_writer w = json_writer(&text);
	char id[2 * ID_BYTES + 1];

	random_hex(id, ID_BYTES);
	write_whole(&w, wish, maker, hash);
	return buf_check(&text, "the key", err) && json_parse(buf_str(&text), &whole, err) &&
	       entity_from_json(ENTITY_APIKEY, str_of(id), json_root(whole), NULL, ret_key, err);
}

bool own_key_make(struct str body, const struct own_key_maker *maker, struct entity **ret_key,
	char ret_secret[OWN_KEY_SECRET_SIZE], struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	char secret[OWN_KEY_SECRET_SIZE], hash[65];
	struct wish wish;
	bool ok;

	if (!json_parse(body, &doc, err) || !read_wish(json_root(doc), maker->now_s, &wish, err))
		return false;
	random_hex(secret, OWN_KEY_SECRET_BYTES);
	hash_sha256_hex(str_of(secret), hash);
	ok = make(&wish, maker, hash, ret_key, err);
	if (ok)
		memcpy(ret_secret, secret, sizeof(secret));
	explicit_bzero(secret, sizeof(secret));
	return ok;
}

/* A key, told. */

static const char *note_of(const struct apikey *key, const char *name, const char *fallback)
{
	for (size_t i = 0; i < key->metadata.len; i++)
		if (!strcmp(key->metadata.at[i].key, name))
			return key->metadata.at[i].value;
	return fallback;
}

static void put_scopes(struct json_writer *w, const struct texts *scopes)
{
	json_key(w, STR("scopes"));
	json_open_array(w);
	for (size_t i = 0; i < scopes->len; i++)
		json_value_str(w, str_of(scopes->at[i]));
	json_close_array(w);
}

static void put_secret(struct json_writer *w, const char *secret)
{
	char key[sizeof(APIKEY_PREFIX) + OWN_KEY_SECRET_SIZE];

	(void)snprintf(key, sizeof(key), APIKEY_PREFIX "%s", secret);
	json_put_text(w, "apiKey", key);
	explicit_bzero(key, sizeof(key));
}

void own_key_write(struct json_writer *w, const struct entity *entity, const char *secret, int64_t now_s)
{
	const struct apikey *key = entity_apikey(entity);
	char until[CLOCK_RFC3339_SIZE] = NEVER;

	if (key->valid_until)
		clock_rfc3339(key->valid_until * 1000, until);
	json_open_object(w);
	json_put_text(w, "createdAt", note_of(key, "createdAt", NEVER));
	json_put_text(w, "expirationDate", until);
	json_put_bool(w, "isExpired", key->valid_until && key->valid_until <= now_s);
	json_put_text(w, "creatorUa", note_of(key, "creatorUa", ""));
	json_put_text(w, "generatedBy", "manual");
	json_put_text(w, "lastUsed", NEVER);
	json_put_text(w, "label", key->label);
	put_scopes(w, &key->scopes);
	json_put_str(w, "uuid", entity_id(entity));
	if (secret)
		put_secret(w, secret);
	json_close_object(w);
}
