/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_entities - get, create, set, delete and rotate.
 */
#include <string.h>

#include "common/check.h"
#include "leader/ctl/client.h"
#include "leader/ctl/fields.h"
#include "leader/ctl/show.h"

#define PATH_MAX_BYTES 8192
#define COLUMNS_MAX    8

/* Which members of a kind a list shows; of others the id and the revision. */
static const struct view {
	const char *kind;
	const char *heads[COLUMNS_MAX + 1], *members[COLUMNS_MAX + 1];
} views[] = {
	{ "user", { "ID", "ENABLED", "ROLES", "GROUPS" }, { "id", "enabled", "roles", "groups" } },
	{ "apikey", { "ID", "OWNER", "LABEL", "ENABLED", "VALID UNTIL", "CALLS A DAY", "SCOPES" },
		{ "id", "owner", "label", "enabled", "validUntil", "dailyQuota", "scopes" } },
	{ "policy", { "ID", "DEFAULT", "ANONYMOUS", "RULES" },
		{ "id", "defaultPolicy", "anonymousPolicy", "policies" } },
	{ "worker", { "ID", "ENABLED", "VALID UNTIL", "DESCRIPTION" },
		{ "id", "enabled", "validUntil", "description" } },
	{ "group", { "ID", "USERS", "DESCRIPTION" }, { "id", "users", "description" } },
	{ "", { "ID", "REVISION" }, { "id", "revision" } },
};

static const struct view *view_of(const char *kind)
{
	const struct view *view = views;

	while (*view->kind && strcmp(view->kind, kind) != 0)
		view++;
	return view;
}

static void put_path(struct buf *path, const char *kind, const char *id, const char *more)
{
	buf_puts(path, "/api/");
	buf_url(path, str_of(kind), "");
	if (id) {
		buf_putc(path, '/');
		buf_url(path, str_of(id), "");
	}
	buf_puts(path, more);
}

/* Get. */

static void put_cell(struct grid *grid, const char *member, const struct json *value)
{
	AUTO_FINI(buf) text = buf_limit(64u * 1024);

	if (strcmp(member, "validUntil") != 0) {
		show_put(grid, value);
		return;
	}
	if (show_is_over(value))
		buf_puts(&text, "over ");
	if (json_str(value).len)
		show_value(value, &text);
	else
		buf_putc(&text, '-');
	grid_put(grid, buf_str(&text));
}

static void put_items(struct grid *grid, const struct view *view, const struct json *items)
{
	for (size_t i = 0; i < json_len(items); i++)
		for (size_t c = 0; view->members[c]; c++)
			put_cell(grid, view->members[c], json_find(json_at(items, i), view->members[c]));
}

static bool print_page(struct grid *grid, const struct view *view, const struct http_result *result)
{
	AUTO(json_doc) *doc = NULL;

	if (!show_parse(result, &doc))
		return false;
	put_items(grid, view, json_find(json_root(doc), "items"));
	grid_print(grid, stdout);
	return true;
}

static int get_page(
	struct client *client, struct grid *grid, const struct view *view, struct buf *path, bool *ret_more)
{
	const struct client_ask ask = { .method = "GET", .path = buf_text(path) };
	struct http_result result;
	int status = client_send(client, &ask, &result);

	if (status == CTL_DONE && !grid)
		show_bytes(buf_str(&result.body));
	else if (status == CTL_DONE && !print_page(grid, view, &result))
		status = CTL_FAILED;
	*ret_more = status == CTL_DONE && client_next(&result, path);
	http_result_fini(&result);
	return status;
}

static void put_wish(struct buf *path, const char *name, struct str value)
{
	buf_format(path, "&%s=", name);
	buf_url(path, value, "");
}

static void put_wishes(struct buf *path, const struct command_call *call)
{
	const char *filters = command_option(call, "--filter"), *words = command_option(call, "--words");
	const char *sort = command_option(call, "--sort");
	struct str rest = str_of(filters), filter;

	while (filters && str_next(&rest, ',', &filter))
		put_wish(path, "filter", filter);
	if (words)
		put_wish(path, "q", str_of(words));
	if (sort)
		put_wish(path, "sort", str_of(sort));
}

static bool has_wishes(const struct command_call *call)
{
	return command_option(call, "--filter") || command_option(call, "--words") ||
	       command_option(call, "--sort");
}

static int get_list(struct client *client, const struct command_call *call)
{
	const struct view *view = view_of(call->arguments[0]);
	bool json = command_option(call, "--json") != NULL, more = true;
	AUTO(grid) *grid = json ? NULL : grid_new(view->heads);
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	int status = CTL_DONE;

	put_path(&path, call->arguments[0], NULL, "?n=1000");
	put_wishes(&path, call);
	while (more && status == CTL_DONE)
		status = get_page(client, grid, view, &path, &more);
	return status;
}

static void print_one(const struct json *root)
{
	show_object(root, NULL);
}

static int get_one(struct client *client, const struct command_call *call)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	struct client_ask ask = { .method = "GET" };
	struct http_result result;
	int status;

	put_path(&path, call->arguments[0], call->arguments[1], "");
	ask.path = buf_text(&path);
	status = client_send(client, &ask, &result);
	if (status == CTL_DONE)
		status = show_answer(call, &result, print_one);
	http_result_fini(&result);
	return status;
}

int ctl_get(const struct command_call *call)
{
	AUTO(client) *client = NULL;
	int status;

	if (!call->arguments_len)
		return ctl_wrong("get: name a kind: user, group, apikey, policy, admin_policy, worker, "
				 "settings or ring");
	if (call->arguments_len > 1 && has_wishes(call))
		return ctl_wrong("get: --filter, --words and --sort are of lists; leave out the ID");
	if (!client_new(&client, call, &status))
		return status;
	return call->arguments_len > 1 ? get_one(client, call) : get_list(client, call);
}

/* Change. */

/* What is told of a change that was made; secrets are shown this once. */
static int print_written(const struct command_call *call, const struct http_result *result, const char *how)
{
	static const char *const skip[] = { "entity", NULL };
	AUTO(json_doc) *doc = NULL;
	const struct json *root, *entity;
	int64_t revision = 0;

	if (command_option(call, "--json")) {
		show_bytes(buf_str(&result->body));
		return CTL_DONE;
	}
	if (!show_parse(result, &doc))
		return CTL_FAILED;
	root = json_root(doc);
	entity = json_find(root, "entity") ? json_find(root, "entity") : root;
	(void)json_get_int(json_find(entity, "revision"), &revision);
	AUTO_FINI(buf) id = buf_limit(1024);
	grid_clean(json_str(json_find(entity, "id")), &id);
	(void)printf("%s %s, revision %lld\n", buf_text(&id), how, (long long)revision);
	if (entity != root)
		show_object(root, skip);
	return CTL_DONE;
}

static int send_change(const struct command_call *call, struct client_ask *ask, const char *how)
{
	AUTO(client) *client = NULL;
	struct http_result result;
	int status;

	if (!client_new(&client, call, &status))
		return status;
	status = client_send(client, ask, &result);
	if (status == CTL_DONE && result.status == 204)
		(void)printf("%s %s\n", call->arguments[call->arguments_len - 1], how);
	else if (status == CTL_DONE)
		status = print_written(call, &result, how);
	http_result_fini(&result);
	return status;
}

/* Of the file of -f, or of the fields from the place `at` on. */
static bool make_body(const struct command_call *call, const char *id, size_t at, struct buf *body)
{
	const char *file = command_option(call, "-f");
	struct error err;
	bool ok = file ? fields_read(file, body, &err)
		       : fields_body(id, call->arguments + at, call->arguments_len - at, body, &err);

	if (!ok)
		ctl_say("%s", err.text);
	return ok;
}

static bool is_field(const char *text)
{
	return strchr(text, '=') != NULL;
}

int ctl_create(const struct command_call *call)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	AUTO_FINI(buf) body = buf_limit(FIELDS_BODY_MAX);
	bool has_id = call->arguments_len > 1 && !is_field(call->arguments[1]);
	struct client_ask ask = { .method = "POST" };
	int status;

	if (!call->arguments_len)
		return ctl_wrong("create: needs KIND [ID] field=value..., or KIND -f FILE");
	if (command_option(call, "-f") && call->arguments_len > 1)
		return ctl_wrong("create: the file of -f has the id and all fields");
	if (!make_body(call, has_id ? call->arguments[1] : NULL, has_id ? 2 : 1, &body))
		return CTL_WRONG_USE;
	put_path(&path, call->arguments[0], NULL, "");
	ask.path = buf_text(&path);
	ask.body = buf_str(&body);
	status = send_change(call, &ask, "created");
	explicit_bzero(body.at, body.room);
	return status;
}

int ctl_set(const struct command_call *call)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	AUTO_FINI(buf) body = buf_limit(FIELDS_BODY_MAX);
	struct client_ask ask = { .method = command_option(call, "--replace") ? "PUT" : "PATCH",
		.if_match = command_option(call, "--revision") };
	int status;

	if (call->arguments_len < 2 || (call->arguments_len == 2) != (command_option(call, "-f") != NULL))
		return ctl_wrong("set: needs KIND ID field=value..., or KIND ID -f FILE");
	if (!make_body(call, NULL, 2, &body))
		return CTL_WRONG_USE;
	put_path(&path, call->arguments[0], call->arguments[1], "");
	ask.path = buf_text(&path);
	ask.body = buf_str(&body);
	status = send_change(call, &ask, "changed");
	explicit_bzero(body.at, body.room);
	return status;
}

int ctl_delete(const struct command_call *call)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	struct client_ask ask = { .method = "DELETE", .if_match = command_option(call, "--revision") };

	if (call->arguments_len != 2)
		return ctl_wrong("delete: needs KIND ID");
	put_path(&path, call->arguments[0], call->arguments[1], "");
	ask.path = buf_text(&path);
	return send_change(call, &ask, "deleted");
}

int ctl_rotate(const struct command_call *call)
{
	AUTO_FINI(buf) path = buf_limit(PATH_MAX_BYTES);
	AUTO_FINI(buf) body = buf_limit(1024);
	struct json_writer w = json_writer(&body);
	const char *grace = command_option(call, "--grace");
	struct client_ask ask = { .method = "POST" };
	uint64_t seconds;

	if (call->arguments_len != 1 || (grace && !str_to_number(str_of(grace), INT64_MAX, &seconds)))
		return ctl_wrong("rotate: needs the ID of an API key; --grace is a number of seconds");
	json_open_object(&w);
	if (grace)
		json_put_uint(&w, "graceSeconds", seconds);
	if (command_option(call, "--again"))
		json_put_bool(&w, "again", true);
	json_close_object(&w);
	put_path(&path, "apikey", call->arguments[0], "/rotate");
	ask.path = buf_text(&path);
	ask.body = buf_str(&body);
	return send_change(call, &ask, "rotated");
}
