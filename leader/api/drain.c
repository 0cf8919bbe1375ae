/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain - POST /api/cluster/members/{name}/drain, undrain, evacuate: an operator takes a member out of the ring, and back.
 *
 * That it is drained is an entity (kind drain), so it survives restarts of leaders and of the member; what the ring makes of it is
 * ring_plan.h's. All three may be asked again: who asks for what is so already changes nothing.
 */
#include <inttypes.h>

#include "common/clock.h"
#include "common/log.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/told.h"
#include "leader/members.h"
#include "leader/ring_write.h"

#define ROW_BYTES_MAX (64 * 1024)

enum verb { DRAIN, UNDRAIN, EVACUATE, NO_VERB };

struct asked {
	struct api_job *job;
	enum verb verb;
	char name[ENTITY_ID_MAX + 1];
	bool force;
};

static enum verb verb_of(struct str word)
{
	static const char *const words[] = { "drain", "undrain", "evacuate" };
	unsigned verb = DRAIN;

	while (verb < NO_VERB && !str_is(word, words[verb]))
		verb++;
	return (enum verb)verb;
}

/* A name may have slashes. */
static bool read_path(struct asked *asked)
{
	struct str name, word;

	if (!str_split_last(asked->job->rest, '/', &name, &word) || !name.len)
		return false;
	asked->verb = verb_of(word);
	return asked->verb != NO_VERB && str_copy(name, asked->name, sizeof(asked->name));
}

static bool read_force(struct asked *asked)
{
	AUTO_FINI(buf) text = buf_limit(8);
	bool given;

	if (!api_parameter(asked->job, "force", &text, &given))
		return false;
	asked->force = given && str_is(buf_str(&text), "true");
	return !given || asked->force || str_is(buf_str(&text), "false");
}

/* Who asks as a worker: by its own credential, or what it says with the one of all. */
static const char *worker_of(const struct asked *asked)
{
	const char *said = http_headers_find(asked->job->http->headers, "Zot-Worker-Name");

	return *asked->job->who.worker ? asked->job->who.worker : said ? said : "";
}

/* What it means for the ring is written too, so that whoever has the answer finds it so. */
static enum ledger_result write_locked(const struct asked *asked, struct entity *entity, uint64_t expected,
	const char *how, struct error *err)
{
	struct leader *leader = asked->job->leader;
	const struct ledger_audit audit = told_audit(asked->job, how);
	struct ledger_change change = {
		.entity = entity, .check = true, .expected = expected, .audit = &audit
	};
	enum ledger_result result;
	uint64_t revision;
	size_t at;

	leader_assert_locked(leader);
	result = leader_write_locked(leader, &change, 1, &revision, &at, err);
	if (result != LEDGER_WRITTEN)
		return result;
	log_info("member.drain", "how=%s name=%s revision=%" PRIu64 "%s", how, log_quote(str_of(asked->name)),
		revision, told_by(asked->job));
	ring_write_now_locked(leader->ring);
	return result;
}

static enum ledger_result mark_locked(const struct asked *asked, struct error *err)
{
	const struct member_drain body = { .since = clock_wall_s(),
		.by = asked->job->who.role == LOGIN_WORKER ? worker_of(asked) : asked->job->who.user };
	AUTO(entity) *entity = entity_new(ENTITY_DRAIN, str_of(asked->name), 0, &body);

	return write_locked(asked, entity, 0, "drained", err);
}

static enum ledger_result unmark_locked(
	const struct asked *asked, const struct entity *drain, struct error *err)
{
	AUTO(entity) *gone = entity_new_deleted(ENTITY_DRAIN, str_of(asked->name), 0);

	return write_locked(asked, gone, entity_revision(drain), "undrained", err);
}

static bool is_member(const struct asked *asked)
{
	return members_may_forget(asked->job->leader->members, str_of(asked->name)) != MEMBERS_UNKNOWN;
}

static bool is_last_active(const struct asked *asked, const struct state *state)
{
	struct entity *entity = state_find(state, ENTITY_RING, STR("ring"));
	const struct ring_body *ring = entity ? entity_ring(entity) : NULL;

	for (size_t i = 0; ring && i < ring->members_len; i++)
		if (!strcmp(ring->members[i].state, "active") &&
			strcmp(ring->members[i].id, asked->name) != 0)
			return false;
	return true;
}

static struct http_response *refuse_unforced(const struct asked *asked, const struct state *state)
{
	if (leader_cluster(asked->job->leader).isolated && asked->verb != EVACUATE)
		return api_error(409, "isolated",
			"each worker's storage is its own: this member's repositories would all move to the "
			"others, and it must run until they have; evacuate says when, ?force=true drains it "
			"all the same");
	if (is_last_active(asked, state))
		return api_error(409, "last",
			"no other member is active: nobody could change a repository while this one is "
			"drained; ?force=true does it all the same");
	return NULL;
}

static struct http_response *refuse(
	const struct asked *asked, const struct state *state, const struct entity *drain)
{
	if (!is_member(asked) && !drain)
		return api_error(404, "unknown", "there is no member of this name");
	if (asked->verb == UNDRAIN || drain || asked->force)
		return NULL;
	return refuse_unforced(asked, state);
}

/* LEDGER_WRITTEN: it is so. */
static enum ledger_result change_locked(
	const struct asked *asked, struct http_response **ret_refused, struct error *err)
{
	AUTO(state) *state = leader_state(asked->job->leader);
	struct entity *drain = state_find(state, ENTITY_DRAIN, str_of(asked->name));

	*ret_refused = refuse(asked, state, drain);
	if (*ret_refused || !drain == (asked->verb == UNDRAIN))
		return LEDGER_WRITTEN;
	return drain ? unmark_locked(asked, drain, err) : mark_locked(asked, err);
}

/* Another leader may be faster: then all is decided anew. */
static struct http_response *change(const struct asked *asked)
{
	struct leader *leader = asked->job->leader;
	struct http_response *refused = NULL;
	enum ledger_result result;
	struct error err;

	leader_lock(leader);
	do
		result = change_locked(asked, &refused, &err);
	while (result == LEDGER_BEHIND || result == LEDGER_STALE);
	leader_unlock(leader);
	return result == LEDGER_FAILED ? api_error_of(&err) : refused;
}

/* The answer. */

static bool is_asked(void *arg, const char *name, uint64_t stamp)
{
	(void)stamp;
	return !strcmp(arg, name);
}

static uint64_t ring_revision(const struct state *state)
{
	struct entity *ring = state_find(state, ENTITY_RING, STR("ring"));

	return ring ? entity_revision(ring) : 0;
}

static int64_t ring_epoch_of(const struct state *state)
{
	struct entity *ring = state_find(state, ENTITY_RING, STR("ring"));

	return ring ? entity_ring(ring)->epoch : 0;
}

static bool is_evacuated(const struct asked *asked, const struct state *state)
{
	struct leader *leader = asked->job->leader;

	return members_is_idle(leader->members, asked->name, ring_revision(state)) &&
	       (!leader_cluster(leader).isolated ||
		       members_holds_nothing(leader->members, asked->name, (uint64_t)ring_epoch_of(state)));
}

static struct http_response *show(struct asked *asked)
{
	struct leader *leader = asked->job->leader;
	AUTO(state) *state = leader_state(leader);
	bool evacuated = is_evacuated(asked, state);
	struct buf body = buf_limit(ROW_BYTES_MAX);
	struct json_writer w = json_writer(&body);

	json_open_object(&w);
	json_put_text(&w, "name", asked->name);
	json_put_bool(&w, "drained", state_find(state, ENTITY_DRAIN, str_of(asked->name)));
	if (asked->verb == EVACUATE)
		json_put_bool(&w, "evacuated", evacuated);
	json_key(&w, STR("members"));
	members_write(leader->members,
		&(struct members_rows){ .now_ms = clock_ms(),
			.lease_ms = leader_cluster(leader).lease_ms,
			.state = state,
			.wants = is_asked,
			.arg = asked->name },
		&w);
	json_close_object(&w);
	return api_json(asked->verb == EVACUATE && !evacuated ? 202 : 200, &body);
}

static bool may(const struct asked *asked)
{
	return asked->job->who.role != LOGIN_WORKER ||
	       (asked->verb != DRAIN && !asked->force && !strcmp(asked->name, worker_of(asked)));
}

struct http_response *cluster_drain(void *arg)
{
	struct asked asked = { .job = arg };
	struct http_response *response;

	if (!read_path(&asked))
		return api_error(404, "unknown",
			"there is no such endpoint; of a member there are drain, undrain and evacuate");
	if (!read_force(&asked))
		return api_error(400, "invalid", "force is true or false");
	if (!may(&asked))
		return api_error(403, "denied", "a worker may evacuate and undrain itself alone");
	response = change(&asked);
	return response ? response : show(&asked);
}
