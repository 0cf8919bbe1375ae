/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self_trust - an administrator uploads a key or certificates at a worker, or deletes one. The worker asks with its own credential, and names the user.
 *
 *     PUT    /api/cluster/self/trust?user=NAME            {"type": "cosign", "pem": "-----BEGIN PUBLIC KEY-----..."}
 *     DELETE /api/cluster/self/trust?user=NAME&id=ID
 *
 * Both may be sent again: the id is made of what it has (proto/trust_key.h). That the user is an administrator was the worker's to find out, since
 * its own settings may say so too; here the user is one who is known and enabled. Each change is in the log and in the audit as the user's, who
 * has OWN_KEYS_CHANGES a minute, those of API keys among them.
 */
#include <inttypes.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "leader/api/self.h"
#include "leader/api/told.h"
#include "proto/trust_key.h"

#define USER_MAX   255
#define ANSWER_MAX 512

struct asked {
	struct api_job *job;
	struct buf user, id;
	struct entity *entity; /* that is to be written, or a tombstone */
	bool is_there;         /* nothing is to be written */
};

static void asked_fini(struct asked *asked)
{
	buf_fini(&asked->user);
	buf_fini(&asked->id);
	entity_free(asked->entity);
}

static bool read_key(struct asked *asked, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	struct str pem;
	enum trust_type type;

	if (!json_parse(asked->job->http->body, &doc, err))
		return false;
	if (!trust_type_parse(json_str(json_find(json_root(doc), "type")), &type))
		return error_set(err, ERROR_INVALID, NULL, "type: is cosign, ca or signingAuthority");
	return (json_get_str(json_find(json_root(doc), "pem"), &pem) ||
		       error_set(err, ERROR_INVALID, NULL, "pem: needed, the key or the certificates")) &&
	       trust_key_new(type, pem, &asked->entity, err);
}

static bool read_id(struct asked *asked, struct error *err)
{
	if (!trust_key_check_id(buf_str(&asked->id), err))
		return false;
	asked->entity = entity_new_deleted(ENTITY_TRUST, buf_str(&asked->id), 0);
	return true;
}

static bool understand(struct asked *asked, struct error *err)
{
	if (!asked->user.len || memchr(asked->user.at, '\0', asked->user.len))
		return error_set(err, ERROR_INVALID, NULL, "user: needed, who asks the worker");
	return asked->job->http->method == HTTP_PUT ? read_key(asked, err) : read_id(asked, err);
}

/* Decided and written, of the newest state. */
static enum ledger_result write_locked(
	struct asked *asked, uint64_t *ret_revision, struct http_response **ret_refused, struct error *err)
{
	struct leader *leader = asked->job->leader;
	AUTO(state) *state = leader_state(leader);
	const struct entity *now = state_find(state, ENTITY_TRUST, entity_id(asked->entity));
	bool is_gone = entity_is_deleted(asked->entity);
	struct ledger_audit audit = told_audit(asked->job, is_gone ? "deleted" : "created");
	struct ledger_change change = { .entity = asked->entity,
		.check = true,
		.expected = now ? entity_revision(now) : 0,
		.audit = &audit };
	size_t at;

	leader_assert_locked(leader);
	audit.user = buf_text(&asked->user);
	*ret_refused = self_refuse_user(state, buf_str(&asked->user), "a say in whose signatures count");
	asked->is_there = is_gone == !now;
	if (*ret_refused ||
		(!now && !is_gone && !trust_keys_check_room(state_count(state, ENTITY_TRUST), err)))
		return LEDGER_FAILED;
	return asked->is_there ? LEDGER_WRITTEN
			       : leader_write_locked(leader, &change, 1, ret_revision, &at, err);
}

static struct http_response *answer(const struct asked *asked)
{
	struct buf body = buf_limit(ANSWER_MAX);
	struct json_writer w = json_writer(&body);

	json_open_object(&w);
	json_put_str(&w, "id", entity_id(asked->entity));
	json_close_object(&w);
	return api_json(200, &body);
}

static void tell(const struct asked *asked, uint64_t revision)
{
	if (!asked->is_there)
		log_info("entity.written",
			"how=%s kind=trust id=%s revision=%" PRIu64 " by=%s worker=%s from=%s self=true",
			entity_is_deleted(asked->entity) ? "deleted" : "created",
			log_quote(entity_id(asked->entity)), revision, log_quote(buf_str(&asked->user)),
			log_quote(str_of(asked->job->who.worker)), asked->job->from_text);
}

/* Stale: another leader wrote it first, and is followed by then. */
static struct http_response *change(struct asked *asked)
{
	enum ledger_result result = LEDGER_BEHIND;
	struct http_response *refused = NULL;
	uint64_t revision = 0;
	struct error err;

	leader_lock(asked->job->leader);
	for (unsigned i = 0; i < LEADER_WRITE_TRIES && (result == LEDGER_BEHIND || result == LEDGER_STALE);
		i++)
		result = write_locked(asked, &revision, &refused, &err);
	leader_unlock(asked->job->leader);
	if (refused)
		return refused;
	if (result == LEDGER_BEHIND || result == LEDGER_STALE)
		(void)error_set(&err, ERROR_BUSY, NULL, "other leaders write all the time; try again");
	if (result != LEDGER_WRITTEN)
		return api_error_of(&err);
	tell(asked, revision);
	return answer(asked);
}

struct http_response *self_trust(void *arg)
{
	struct api_job *job = arg;
	AUTO_FINI(asked)
	asked = { .job = job, .user = buf_limit(USER_MAX + 1), .id = buf_limit(ENTITY_ID_MAX + 1) };
	struct http_response *refused;
	struct error err;
	bool given;

	if (!api_parameter(job, "user", &asked.user, &given) || !api_parameter(job, "id", &asked.id, &given))
		return api_bad_query();
	if (!understand(&asked, &err))
		return api_error_of(&err);
	refused = self_refuse_often(job->leader, buf_str(&asked.user), "keys");
	return refused ? refused : change(&asked);
}

const struct route_about about_self_trust[] = {
	{ .method = HTTP_PUT,
		.summary = "To workers: a key or certificates by which signatures of images count.",
		.gives = "Object" },
	{ .method = HTTP_DELETE, .summary = "To workers: one of them goes.", .gives = "Object" },
	{ 0 },
};
