/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_watch - members and changes as they come, until it is ended.
 *
 *     members, newest number of the audit ---> [ a change of the state, or WAIT_MS ] ---> what is new of both, a line each --.
 *                                                  ^ the state's long poll                                                    |
 *                                                  `---------------------------------------------------------------------------'
 *
 * A leader that dies is no end: another one is asked, or the same again.
 */
#include <inttypes.h>
#include <poll.h>

#include "common/check.h"
#include "common/clock.h"
#include "leader/ctl/client.h"
#include "leader/ctl/show.h"

#define WAIT_MS  2000
#define AGAIN_MS 1000
#define TEXT_MAX (64u * 1024)

struct watch {
	struct client *client;
	bool json, away;          /* away: it was said that no leader is reached */
	int64_t revision;         /* of the state that was seen */
	int64_t number;           /* of the audit; -1: not known yet */
	struct json_doc *members; /* as they were told last, or NULL */
};

static void watch_fini(struct watch *watch)
{
	json_doc_free(watch->members);
	client_free(watch->client);
}

/* Lines. */

static void put_line(const struct watch *watch, const char *event, const struct json *what, struct str text)
{
	AUTO_FINI(buf) line = buf_limit(CLIENT_ANSWER_MAX);
	char now[CLOCK_RFC3339_SIZE];

	clock_rfc3339(clock_wall_ms(), now);
	if (watch->json) {
		struct json_writer w = json_writer(&line);

		json_open_object(&w);
		json_put_text(&w, "at", now);
		json_put_text(&w, "event", event);
		json_key(&w, str_of(event));
		json_value_node(&w, what);
		json_close_object(&w);
	} else {
		buf_format(&line, "%s %s ", now, event);
		grid_clean(text, &line);
	}
	(void)puts(buf_text(&line));
	(void)fflush(stdout);
}

static void put_part(struct buf *into, const char *before, const struct json *value)
{
	buf_puts(into, before);
	show_value(value, into);
}

static void put_member(const struct watch *watch, const struct json *member, const struct json *was)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX);

	put_part(&text, "", json_find(member, "name"));
	put_part(&text, " ", json_find(member, "state"));
	if (was)
		put_part(&text, ", was ", json_find(was, "state"));
	put_part(&text, ", ", json_find(member, "url"));
	put_line(watch, "member", member, buf_str(&text));
}

static void put_gone(const struct watch *watch, const struct json *was)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX);

	put_part(&text, "", json_find(was, "name"));
	buf_puts(&text, " gone");
	put_part(&text, ", was ", json_find(was, "state"));
	put_line(watch, "gone", was, buf_str(&text));
}

static void put_change(const struct watch *watch, const struct json *row)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX);

	put_part(&text, "", json_find(row, "kind"));
	put_part(&text, " ", json_find(row, "id"));
	put_part(&text, " ", json_find(row, "how"));
	put_part(&text, ", by ", json_find(row, "user"));
	put_part(&text, " from ", json_find(row, "from"));
	put_part(&text, ": ", json_find(row, "new"));
	put_line(watch, "change", row, buf_str(&text));
}

/* Members. */

static const struct json *find_member(const struct json *members, struct str name)
{
	for (size_t i = 0; i < json_len(members); i++)
		if (str_equal(json_str(json_find(json_at(members, i), "name")), name))
			return json_at(members, i);
	return NULL;
}

static bool is_same(const struct json *a, const struct json *b)
{
	return str_equal(json_str(json_find(a, "state")), json_str(json_find(b, "state"))) &&
	       str_equal(json_str(json_find(a, "url")), json_str(json_find(b, "url"))) &&
	       str_equal(json_str(json_find(a, "process")), json_str(json_find(b, "process")));
}

static void compare_members(const struct watch *watch, const struct json *were, const struct json *are)
{
	for (size_t i = 0; i < json_len(are); i++) {
		const struct json *member = json_at(are, i);
		const struct json *was = find_member(were, json_str(json_find(member, "name")));

		if (!was || !is_same(was, member))
			put_member(watch, member, was);
	}
	for (size_t i = 0; i < json_len(were); i++)
		if (!find_member(are, json_str(json_find(json_at(were, i), "name"))))
			put_gone(watch, json_at(were, i));
}

static int ask(const struct watch *watch, const char *path, struct json_doc **ret_doc)
{
	const struct client_ask ask = { .method = "GET", .path = path, .quiet = watch->away };
	struct http_result result;
	int status = client_send(watch->client, &ask, &result);

	if (status == CTL_DONE && !show_parse(&result, ret_doc))
		status = CTL_FAILED;
	http_result_fini(&result);
	return status;
}

static int look_at_members(struct watch *watch)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *were = watch->members ? json_find(json_root(watch->members), "members") : NULL;
	int status = ask(watch, "/api/cluster/members", &doc);

	if (status != CTL_DONE)
		return status;
	compare_members(watch, were, json_find(json_root(doc), "members"));
	(void)json_get_int(json_find(json_root(doc), "revision"), &watch->revision);
	json_doc_free(watch->members);
	watch->members = TAKE(doc);
	return CTL_DONE;
}

/* Changes. */

static int look_at_audit(struct watch *watch)
{
	AUTO(json_doc) *doc = NULL;
	AUTO_FINI(buf) path = buf_limit(128);
	bool follows = watch->number >= 0;
	const struct json *items;
	int status;

	if (follows)
		buf_format(&path, "/api/audit?n=1000&after=%" PRId64, watch->number);
	else
		buf_puts(&path, "/api/audit?n=1");
	status = ask(watch, buf_text(&path), &doc);
	if (status != CTL_DONE)
		return status;
	items = json_find(json_root(doc), "items");
	if (!follows)
		watch->number = 0;
	for (size_t i = 0; i < json_len(items); i++) {
		if (follows)
			put_change(watch, json_at(items, i));
		(void)json_get_int(json_find(json_at(items, i), "number"), &watch->number);
	}
	return CTL_DONE;
}

/* Until the state is another one, or WAIT_MS. What it is comes from the others. */
static int wait_for_change(struct watch *watch)
{
	AUTO_FINI(buf) path = buf_limit(256);
	struct client_ask ask = { .method = "HEAD", .accept = "application/x-ndjson", .quiet = watch->away };
	struct http_result result;
	int status;

	buf_format(&path, "/api/cluster/state?since=%" PRId64 "&wait=%d", watch->revision, WAIT_MS);
	ask.path = buf_text(&path);
	status = client_send(watch->client, &ask, &result);
	http_result_fini(&result);
	return status;
}

static int turn(struct watch *watch)
{
	int status = look_at_members(watch);

	if (status == CTL_DONE)
		status = look_at_audit(watch);
	return status == CTL_DONE ? wait_for_change(watch) : status;
}

/* False: it ends. */
static bool go_on(struct watch *watch, int status)
{
	if (status == CTL_FAILED)
		return false;
	if (status == CTL_UNREACHABLE && !watch->away)
		ctl_say("no leader is reached; trying again");
	watch->away = status == CTL_UNREACHABLE;
	if (watch->away)
		(void)poll(NULL, 0, AGAIN_MS);
	return true;
}

int ctl_watch(const struct command_call *call)
{
	__attribute__((cleanup(watch_fini))) struct watch watch = {
		.json = command_option(call, "--json") != NULL, .number = -1
	};
	int status;

	if (!client_new(&watch.client, call, &status))
		return status;
	do
		status = turn(&watch);
	while (go_on(&watch, status));
	return status;
}
