/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chores - POST /api/cluster/members/{name}/chores, POST /api/cluster/chores: a chore of one member, or of all that are there, begins or ends.
 *
 *     may it be, as the leader knows? --> a row of the audit --> an order, told to the other leaders --> the member reports at once, and its answer has it
 *
 * 202: the member is told. What became of it is the `last` of the chore whose `order` has that number.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/told.h"
#include "leader/audit.h"
#include "leader/feed.h"
#include "leader/fellows.h"
#include "leader/members.h"

#define BODY_BYTES_MAX (1024 * 1024)
#define CHORES_PATH    "/chores"

struct target {
	char *name;
	struct members_order order;
	struct error err;
	bool ok;
};

struct asked {
	struct api_job *job;
	struct chore_view_order what;
	struct target *targets;
	size_t len;
};

static void asked_fini(struct asked *asked)
{
	for (size_t i = 0; i < asked->len; i++)
		free(asked->targets[i].name);
	free(asked->targets);
}

/* ---- whom ---- */

static void add_target(struct asked *asked, char *name)
{
	asked->targets[asked->len++] = (struct target){ .name = name, .order.what = asked->what };
}

static void add_live(void *arg, const struct ledger_member *member, bool fit)
{
	struct asked *asked = arg;

	(void)fit;
	if (!member->lost_wall_s && strcmp(member->state, "left") != 0 && asked->len < MEMBERS_MAX)
		add_target(asked, check_strdup(member->name));
}

/* ---- what ---- */

/* False: none may. */
static bool each(struct asked *asked, bool look)
{
	bool any = false;

	for (size_t i = 0; i < asked->len; i++) {
		struct target *target = &asked->targets[i];

		if (!look && !target->ok)
			continue;
		target->order.look = look;
		target->ok = members_order(
			asked->job->leader->members, target->name, &target->order, clock_ms(), &target->err);
		any = any || target->ok;
	}
	return any;
}

static size_t count_ok(const struct asked *asked)
{
	size_t count = 0;

	for (size_t i = 0; i < asked->len; i++)
		count += asked->targets[i].ok;
	return count;
}

static bool store_audit(const struct asked *asked, const char *member, struct error *err)
{
	struct leader *leader = asked->job->leader;
	AUTO_FINI(buf) detail = buf_limit(4096);
	struct json_writer w = json_writer(&detail);
	struct ledger_audit row = told_audit(asked->job, asked->what.stop ? "stopped" : "started");
	bool ok;

	json_open_object(&w);
	if (member)
		json_put_text(&w, "member", member);
	if (!asked->what.stop)
		json_put_bool(&w, "dryRun", asked->what.dry_run);
	json_close_object(&w);
	row.kind = "chore";
	row.id = asked->what.chore;
	row.count = count_ok(asked);
	row.detail = buf_text(&detail);
	leader_lock(leader);
	ok = leader_audit_locked(leader, &row, 1, err);
	leader_unlock(leader);
	return ok;
}

static void tell(struct asked *asked)
{
	struct leader *leader = asked->job->leader;

	for (size_t i = 0; i < asked->len; i++) {
		const struct target *target = &asked->targets[i];

		if (!target->ok)
			continue;
		fellows_order(leader->fellows, target->name, target->order.process, &target->order.made);
		log_info("chore.asked", "name=%s chore=%s action=%s dry_run=%s order=%" PRIu64 "%s",
			log_quote(str_of(target->name)), log_quote(str_of(asked->what.chore)),
			asked->what.stop ? "stop" : "start", asked->what.dry_run ? "true" : "false",
			target->order.made.id, told_by(asked->job));
	}
	if (leader->feed)
		feed_reports_wanted(leader->feed);
}

/* ---- the answer ---- */

static struct http_response *show(const struct asked *asked)
{
	struct buf body = buf_limit(BODY_BYTES_MAX);
	struct json_writer w = json_writer(&body);

	json_open_object(&w);
	json_put_text(&w, "chore", asked->what.chore);
	json_put_text(&w, "action", asked->what.stop ? "stop" : "start");
	json_put_bool(&w, "dryRun", asked->what.dry_run);
	json_key(&w, STR("members"));
	json_open_array(&w);
	for (size_t i = 0; i < asked->len; i++) {
		const struct target *target = &asked->targets[i];

		json_open_object(&w);
		json_put_text(&w, "name", target->name);
		if (target->ok)
			json_put_uint(&w, "order", target->order.made.id);
		else
			json_put_text(&w, "error", target->err.text);
		json_close_object(&w);
	}
	json_close_array(&w);
	json_close_object(&w);
	return api_json(202, &body);
}

static struct http_response *do_all(struct asked *asked, const char *member)
{
	struct error err;

	if (!asked->len)
		return api_error(409, "conflict", "no member is there");
	if (!each(asked, true))
		return api_error_of(&asked->targets[0].err);
	if (!store_audit(asked, member, &err))
		return api_error_of(&err);
	if (!each(asked, false))
		return api_error_of(&asked->targets[0].err);
	tell(asked);
	return show(asked);
}

const struct route_about about_chores[] = {
	{ .method = HTTP_POST,
		.summary = "A chore of all members begins or ends.",
		.takes = "ChoreOrder",
		.gives = "ChoreOrdered",
		.status = 202 },
	{ 0 },
};

struct http_response *cluster_chores(void *arg)
{
	struct asked asked = { .job = arg };
	struct http_response *response;
	struct error err;

	if (!chore_view_order_parse(asked.job->http->body, &asked.what, &err))
		return api_error_of(&err);
	asked.targets = xnew_array(struct target, MEMBERS_MAX);
	members_each(asked.job->leader->members, add_live, &asked);
	response = do_all(&asked, NULL);
	asked_fini(&asked);
	return response;
}

/* A name may have slashes. */
struct http_response *member_chores_serve(void *arg)
{
	struct asked asked = { .job = arg };
	struct str name = str_from(asked.job->rest.at, asked.job->rest.len - strlen(CHORES_PATH));
	struct http_response *response;
	struct error err;

	if (asked.job->who.role == LOGIN_WORKER)
		return api_error(403, "denied", "only admins may do this");
	if (!chore_view_order_parse(asked.job->http->body, &asked.what, &err))
		return api_error_of(&err);
	asked.targets = xnew_array(struct target, 1);
	add_target(&asked, str_dup(name));
	response = do_all(&asked, asked.targets[0].name);
	asked_fini(&asked);
	return response;
}
