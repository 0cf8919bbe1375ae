/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/key_rotate.h"

#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "common/json.h"
#include "common/log.h"
#include "leader/api.h"
#include "leader/api/entity_write.h"
#include "leader/api/told.h"
#include "leader/rights.h"

#define SUFFIX "/rotate"

struct wish {
	int64_t grace_s;
	bool again;
};

struct rotation {
	struct api_job *job;
	struct str id;
	struct wish wish;
	int64_t now_s;
	char secret[2 * ENTITY_SECRET_BYTES + 1], hash[2 * 32 + 1];
	struct entity *made; /* as it was written */
};

static void rotation_fini(struct rotation *rotation)
{
	explicit_bzero(rotation->secret, sizeof(rotation->secret));
	entity_free(rotation->made);
}

bool key_rotate_is_asked(struct str rest)
{
	return str_ends(rest, SUFFIX);
}

/* What is wished for. */

static bool unknown_member(struct str key, struct error *err)
{
	static const char *const known[] = { "graceSeconds", "again" };
	const char *near = str_nearest(key, known, 2);

	return error_set(err, ERROR_INVALID, NULL, "unknown member \"%.*s\"%s%s%s",
		(int)(key.len < 60 ? key.len : 60), key.at, near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "; known are \"graceSeconds\" and \"again\"");
}

static bool read_member(struct str key, const struct json *value, struct wish *ret, struct error *err)
{
	if (str_is(key, "again"))
		return json_get_bool(value, &ret->again) ||
		       error_set(err, ERROR_INVALID, NULL, "again: must be true or false");
	if (!str_is(key, "graceSeconds"))
		return unknown_member(key, err);
	return (json_get_int(value, &ret->grace_s) && ret->grace_s >= 0 && ret->grace_s <= GRACE_MAX_S) ||
	       error_set(err, ERROR_INVALID, NULL, "graceSeconds: must be a whole number from 0 to %d",
		       GRACE_MAX_S);
}

static bool read_wish(struct str body, struct wish *ret, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *value;
	struct str key;

	*ret = (struct wish){ .grace_s = GRACE_DEFAULT_S };
	if (!body.len)
		return true;
	if (!json_parse(body, &doc, err))
		return false;
	if (json_kind(json_root(doc)) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, NULL, "the body must be a JSON object, or empty");
	for (void *it = NULL; json_next(json_root(doc), &it, &key, &value);)
		if (!read_member(key, value, ret, err))
			return false;
	return true;
}

/* The key as it becomes. */

static bool has_grace(const struct rotation *rotation, const struct apikey *old)
{
	return *old->secret_hash_before && old->grace_until > rotation->now_s;
}

/* Two rotations in a row would end the secret that is in use, without a word. */
static bool check_grace(const struct rotation *rotation, const struct apikey *old, struct error *err)
{
	char until[CLOCK_RFC3339_SIZE];

	if (!rotation->wish.grace_s || rotation->wish.again || !has_grace(rotation, old))
		return true;
	clock_rfc3339(old->grace_until * 1000, until);
	return error_set(err, ERROR_CONFLICT, NULL,
		"it was rotated, and the secret before opens until %s: with \"again\":true that one opens on "
		"and "
		"the secret of the last rotation ends at once; with \"graceSeconds\":0 both end",
		until);
}

static struct entity *make(const struct rotation *rotation, const struct apikey *old)
{
	const char *before = has_grace(rotation, old) ? old->secret_hash_before : old->secret_hash;
	struct apikey body = *old;

	body.secret_hash = rotation->hash;
	body.secret_hash_before = rotation->wish.grace_s ? before : "";
	body.grace_until = rotation->wish.grace_s ? rotation->now_s + rotation->wish.grace_s : 0;
	return entity_new(ENTITY_APIKEY, rotation->id, 0, &body);
}

static void make_secret(struct rotation *rotation)
{

	random_hex(rotation->secret, ENTITY_SECRET_BYTES);
	hash_sha256_hex(str_of(rotation->secret), rotation->hash);
}

/* Writing. */

static enum ledger_result write_locked(struct rotation *rotation, const struct entity *old, struct error *err)
{
	AUTO(entity) *next = make(rotation, entity_apikey(old));
	const struct ledger_audit audit = told_audit(rotation->job, "rotated");
	struct ledger_change change = {
		.entity = next, .check = true, .expected = entity_revision(old), .audit = &audit
	};
	enum ledger_result result;
	uint64_t revision;
	size_t at;

	leader_assert_locked(rotation->job->leader);
	result = leader_write_locked(rotation->job->leader, &change, 1, &revision, &at, err);
	if (result == LEDGER_STALE)
		(void)error_set(err, ERROR_CONFLICT, NULL, "the key has changed meanwhile; read it again");
	if (result == LEDGER_WRITTEN)
		rotation->made = entity_with_revision(next, revision);
	return result;
}

/* NULL: it was written, or, where nothing is made, another leader was faster. */
static struct http_response *rotate_locked(struct rotation *rotation)
{
	AUTO(state) *state = leader_state(rotation->job->leader);
	struct entity *old = entity_find_seen(rotation->job, state, rotation->id);
	struct error err;

	leader_assert_locked(rotation->job->leader);
	if (!entity_tag_allows(rotation->job, old))
		return entity_stale(old);
	if (!old)
		return entity_absent(rotation->job);
	if (!rights_check(state, &rotation->job->who, old, old, &err) ||
		!check_grace(rotation, entity_apikey(old), &err))
		return api_error_of(&err);
	switch (write_locked(rotation, old, &err)) {
	case LEDGER_WRITTEN:
	case LEDGER_BEHIND:
		return NULL;
	case LEDGER_STALE:
	case LEDGER_FAILED:
		break;
	}
	return api_error_of(&err);
}

static struct http_response *rotate(struct rotation *rotation)
{
	struct http_response *refused;

	leader_lock(rotation->job->leader);
	do
		refused = rotate_locked(rotation);
	while (!refused && !rotation->made);
	leader_unlock(rotation->job->leader);
	if (refused)
		return refused;
	log_info("entity.written", "how=rotated kind=apikey id=%s grace_s=%" PRId64 " revision=%" PRIu64 "%s",
		log_quote(rotation->id), rotation->wish.grace_s, entity_revision(rotation->made),
		told_by(rotation->job));
	return entity_secret_response(200, rotation->made, rotation->secret);
}

struct http_response *key_rotate(struct api_job *job)
{
	__attribute__((cleanup(rotation_fini))) struct rotation rotation = { .job = job,
		.id = str_from(job->rest.at, job->rest.len - (sizeof(SUFFIX) - 1)),
		.now_s = clock_wall_s() };
	struct error err;

	if (!read_wish(job->http->body, &rotation.wish, &err))
		return api_error_of(&err);
	make_secret(&rotation);
	return rotate(&rotation);
}
