/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_cluster - members, forget, usage, audit and access.
 */
#include <string.h>

#include "leader/ctl/client.h"
#include "leader/ctl/show.h"

#define PATH_MAX_BYTES 16384

/* An option, and the parameter of the query that it is. */
struct parameter {
	const char *option, *name;
};

/* ?a=...&b=... of the options that were given; the last one has no name. */
static void put_query(struct buf *path, const struct command_call *call, const struct parameter *parameter)
{
	char before = strchr(buf_text(path), '?') ? '&' : '?';

	for (; parameter->name; parameter++) {
		const char *value = command_option(call, parameter->option);

		if (!value)
			continue;
		buf_format(path, "%c%s=", before, parameter->name);
		buf_url(path, str_of(value), "");
		before = '&';
	}
}

static int ask_and_print(const struct command_call *call, const char *path, show_f *print)
{
	const struct client_ask ask = { .method = "GET", .path = path };
	AUTO(client) *client = NULL;
	struct http_result result;
	int status;

	if (!client_new(&client, call, &status))
		return status;
	status = client_send(client, &ask, &result);
	if (status == CTL_DONE)
		status = show_answer(call, &result, print);
	http_result_fini(&result);
	return status;
}

static void put_rows(const struct json *rows, const char *const *heads, const char *const *members)
{
	AUTO(grid) *grid = grid_new(heads);

	for (size_t i = 0; i < json_len(rows); i++)
		for (size_t c = 0; members[c]; c++)
			show_put(grid, json_find(json_at(rows, i), members[c]));
	grid_print(grid, stdout);
}

/* Members. */

static void print_members(const struct json *root)
{
	static const char *const heads[] = { "NAME", "STATE", "URL", "ZONE", "VERSION", "REVISION",
		"COMPLAINTS", NULL };
	static const char *const members[] = { "name", "state", "url", "zone", "version", "revision",
		"complaints", NULL };
	AUTO_FINI(buf) head = buf_limit(4096);

	buf_puts(&head, "leader ");
	show_value(json_find(root, "leader"), &head);
	buf_puts(&head, ", cluster ");
	show_value(json_find(root, "cluster"), &head);
	buf_puts(&head, ", revision ");
	show_value(json_find(root, "revision"), &head);
	AUTO_FINI(buf) clean = buf_limit(8192);
	grid_clean(buf_str(&head), &clean);
	(void)puts(buf_text(&clean));
	put_rows(json_find(root, "members"), heads, members);
}

int ctl_members(const struct command_call *call)
{
	return ask_and_print(call, "/api/cluster/members", print_members);
}

int ctl_forget(const struct command_call *call)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	struct client_ask ask = { .method = "DELETE" };
	AUTO(client) *client = NULL;
	struct http_result result;
	int status;

	if (!call->argument)
		return ctl_wrong("forget: needs the name of a member");
	buf_puts(&path, "/api/cluster/members/");
	buf_url(&path, str_of(call->argument), "");
	ask.path = buf_text(&path);
	if (!client_new(&client, call, &status))
		return status;
	status = client_send(client, &ask, &result);
	if (status == CTL_DONE)
		(void)printf("%s forgotten\n", call->argument);
	http_result_fini(&result);
	return status;
}

/* Usage. */

static void print_sums(const struct json *root)
{
	static const char *const heads[] = { "USER", "KEYS", "CALLS", "BYTES IN", "BYTES OUT", NULL };
	static const char *const members[] = { "user", "keys", "calls", "bytesIn", "bytesOut", NULL };
	static const char *const group_heads[] = { "GROUP", "KEYS", "CALLS", "BYTES IN", "BYTES OUT", NULL };
	static const char *const group_members[] = { "group", "keys", "calls", "bytesIn", "bytesOut", NULL };

	if (json_find(root, "users"))
		put_rows(json_find(root, "users"), heads, members);
	else
		put_rows(json_find(root, "groups"), group_heads, group_members);
}

static void print_usage(const struct json *root)
{
	static const char *const key_heads[] = { "API KEY", "OWNER", "LABEL", "DAY", "MONTH", "CALLS",
		"QUOTA", "BYTES IN", "BYTES OUT", NULL };
	static const char *const key_members[] = { "apikey", "owner", "label", "day", "month", "calls",
		"quota", "bytesIn", "bytesOut", NULL };
	static const char *const heads[] = { "REPOSITORY", "PULLS", "PUSHES", "BYTES IN", "BYTES OUT", NULL };
	static const char *const members[] = { "repository", "pulls", "pushes", "bytesIn", "bytesOut", NULL };
	bool more = false;

	if (json_find(root, "users") || json_find(root, "groups"))
		print_sums(root);
	else if (json_find(root, "repositories"))
		put_rows(json_find(root, "repositories"), heads, members);
	else
		put_rows(json_find(root, "usage"), key_heads, key_members);
	if (json_get_bool(json_find(root, "more"), &more) && more)
		ctl_say("there are more rows than 1,000; ask for less: --owner, --group, --apikey, --day, "
			"--month");
}

int ctl_usage(const struct command_call *call)
{
	static const struct parameter parameters[] = { { "--apikey", "apikey" }, { "--owner", "user" },
		{ "--group", "group" }, { "--day", "day" }, { "--month", "month" },
		{ "--repository", "repository" }, { "--by", "by" }, { 0 } };
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);

	buf_puts(&path, "/api/usage");
	put_query(&path, call, parameters);
	return ask_and_print(call, buf_text(&path), print_usage);
}

/* Audit. */

static void put_change(struct grid *grid, const struct json *row)
{
	static const char *const members[] = { "old", "new", "secrets", "omitted", "reason" };
	AUTO_FINI(buf) text = buf_limit(64u * 1024);

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const struct json *value = json_find(row, members[i]);

		if (!value || (json_kind(value) == JSON_OBJECT && !json_len(value)))
			continue;
		buf_format(&text, "%s%s ", text.len ? ", " : "", members[i]);
		show_value(value, &text);
	}
	grid_put(grid, buf_str(&text));
}

static void print_audit(const struct json *root)
{
	static const char *const heads[] = { "AT", "USER", "FROM", "KIND", "ID", "HOW", "COUNT", "WHAT",
		NULL };
	static const char *const members[] = { "at", "user", "from", "kind", "id", "how", "count", NULL };
	const struct json *items = json_find(root, "items");
	AUTO(grid) *grid = grid_new(heads);

	for (size_t i = 0; i < json_len(items); i++) {
		for (size_t c = 0; members[c]; c++)
			show_put(grid, json_find(json_at(items, i), members[c]));
		put_change(grid, json_at(items, i));
	}
	grid_print(grid, stdout);
}

int ctl_audit(const struct command_call *call)
{
	static const struct parameter parameters[] = { { "--since", "since" }, { "--until", "until" },
		{ "--by", "user" }, { "--kind", "kind" }, { "--id", "id" }, { "--n", "n" },
		{ "--last", "last" }, { 0 } };
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);

	buf_puts(&path, "/api/audit");
	put_query(&path, call, parameters);
	return ask_and_print(call, buf_text(&path), print_audit);
}

/* Access. */

static void print_access(const struct json *root)
{
	show_object(root, NULL);
}

int ctl_access(const struct command_call *call)
{
	static const struct parameter parameters[] = { { "--of", "user" }, { "--key", "key" }, { 0 } };
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);

	if (call->arguments_len != 2)
		return ctl_wrong("access: needs REPOSITORY ACTION");
	buf_puts(&path, "/api/access?repository=");
	buf_url(&path, str_of(call->arguments[0]), "");
	buf_puts(&path, "&action=");
	buf_url(&path, str_of(call->arguments[1]), "");
	put_query(&path, call, parameters);
	return ask_and_print(call, buf_text(&path), print_access);
}
