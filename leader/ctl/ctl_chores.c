/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_chores - chores, and chore: what workers do without being asked, and a run of it that begins or ends now.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "leader/ctl/client.h"
#include "leader/ctl/show.h"

#define PATH_MAX_BYTES 16384
#define BODY_MAX_BYTES 4096
#define TEXT_MAX_BYTES 4096

/* The member that is asked for; NULL: all. The table's functions are given nothing else. */
static const char *only;

static uint64_t count_of(const struct json *run, const char *name)
{
	int64_t count = 0;

	return json_get_int(json_find(run, name), &count) && count > 0 ? (uint64_t)count : 0;
}

static void put_count(const struct json *run, const char *name, const char *before, struct buf *into)
{
	if (count_of(run, name))
		buf_format(into, "%s%" PRIu64, before, count_of(run, name));
}

/* "3 of about 9 repositories, removed 2, 70 bytes" */
static void put_numbers(const struct json *run, struct buf *into)
{
	struct str what = json_str(json_find(run, "what"));

	if (what.len) {
		buf_format(into, "%" PRIu64, count_of(run, "done"));
		put_count(run, "total", " of ", into);
		put_count(run, "about", " of about ", into);
		buf_format(into, " %.*s", STR_ARGS(what));
	}
	put_count(run, "removed", json_find(run, "dryRun") ? ", would remove " : ", removed ", into);
	put_count(run, "bytes", ", bytes ", into);
}

static void put_run(struct grid *grid, const struct json *chore)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX_BYTES);
	const struct json *run = json_find(chore, "run");
	struct str at = json_str(json_find(run, "at"));

	if (run)
		put_numbers(run, &text);
	if (at.len)
		buf_format(&text, ", at %.*s", STR_ARGS(at));
	grid_put(grid, text.len ? buf_str(&text) : STR("-"));
}

static void put_last(struct grid *grid, const struct json *chore)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX_BYTES);
	const struct json *last = json_find(chore, "last");
	struct str error = json_str(json_find(last, "error"));

	if (last) {
		buf_format(&text, "%.*s%s", STR_ARGS(json_str(json_find(last, "how"))),
			json_find(last, "dryRun") ? ", dry" : "");
		buf_puts(&text, ": ");
		put_numbers(last, &text);
		buf_add(&text, error);
	}
	grid_put(grid, text.len ? buf_str(&text) : STR("-"));
}

static void put_member(struct grid *grid, const struct json *member)
{
	const struct json *chores = json_find(member, "chores");

	for (size_t i = 0; i < json_len(chores); i++) {
		const struct json *chore = json_at(chores, i);

		show_put(grid, json_find(member, "name"));
		show_put(grid, json_find(chore, "name"));
		show_put(grid, json_find(chore, "state"));
		put_run(grid, chore);
		show_put(grid, json_find(json_find(chore, "last"), "ended"));
		put_last(grid, chore);
	}
}

static void print_chores(const struct json *root)
{
	static const char *const heads[] = { "MEMBER", "CHORE", "STATE", "NOW", "ENDED", "LAST", NULL };
	AUTO(grid) *grid = grid_new(heads);
	const struct json *members = json_find(root, "members");

	for (size_t i = 0; i < json_len(members); i++)
		if (!only || str_is(json_str(json_find(json_at(members, i), "name")), only))
			put_member(grid, json_at(members, i));
	grid_print(grid, stdout);
}

int ctl_chores(const struct command_call *call)
{
	const struct client_ask ask = { .method = "GET", .path = "/api/cluster/members" };
	AUTO(client) *client = NULL;
	struct http_result result;
	int status;

	only = call->argument;
	if (!client_new(&client, call, &status))
		return status;
	status = client_send(client, &ask, &result);
	if (status == CTL_DONE)
		status = show_answer(call, &result, print_chores);
	http_result_fini(&result);
	return status;
}

static void print_ordered(const struct json *root)
{
	static const char *const heads[] = { "MEMBER", "ORDER", "REFUSED", NULL };
	AUTO(grid) *grid = grid_new(heads);
	const struct json *members = json_find(root, "members");

	for (size_t i = 0; i < json_len(members); i++) {
		show_put(grid, json_find(json_at(members, i), "name"));
		show_put(grid, json_find(json_at(members, i), "order"));
		show_put(grid, json_find(json_at(members, i), "error"));
	}
	grid_print(grid, stdout);
}

static void put_path(const struct command_call *call, struct buf *path)
{
	buf_puts(path, "/api/cluster/");
	if (call->arguments_len > 2) {
		buf_puts(path, "members/");
		buf_url(path, str_of(call->arguments[2]), "");
		buf_putc(path, '/');
	}
	buf_puts(path, "chores");
}

static void put_body(const struct command_call *call, struct buf *body)
{
	struct json_writer w = json_writer(body);

	json_open_object(&w);
	json_put_text(&w, "chore", call->arguments[1]);
	json_put_text(&w, "action", call->arguments[0]);
	if (command_option(call, "--dry-run"))
		json_put_bool(&w, "dryRun", true);
	json_close_object(&w);
}

int ctl_chore(const struct command_call *call)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	AUTO_FINI(buf) body = buf_limit(BODY_MAX_BYTES);
	struct client_ask ask = { .method = "POST" };
	AUTO(client) *client = NULL;
	struct http_result result;
	int status;

	if (call->arguments_len < 2 ||
		(strcmp(call->arguments[0], "start") != 0 && strcmp(call->arguments[0], "stop") != 0))
		return ctl_wrong(
			"chore: needs start or stop, the name of a chore, and, if not of all, of a member");
	put_path(call, &path);
	put_body(call, &body);
	ask.path = buf_text(&path);
	ask.body = buf_str(&body);
	if (!client_new(&client, call, &status))
		return status;
	status = client_send(client, &ask, &result);
	if (status == CTL_DONE)
		status = show_answer(call, &result, print_ordered);
	http_result_fini(&result);
	return status;
}
