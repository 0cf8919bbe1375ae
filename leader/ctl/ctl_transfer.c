/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_transfer - export and import: all entities, one a line; bulk: many of a kind.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "leader/ctl/client.h"
#include "leader/ctl/show.h"

#define LINES_TYPE "application/x-ndjson"

/* Export. */

static int fetch_into(struct client *client, int fd)
{
	const struct client_ask ask = { .method = "GET", .path = "/api/export", .accept = LINES_TYPE };

	return client_fetch(client, &ask, fd);
}

/* It has hashes of secrets, and is whole or not there. */
static int fetch_file(struct client *client, const char *file)
{
	AUTO_FINI(buf) path = buf_limit(4096);
	AUTO_FD fd = -1;
	struct error err;
	int status;

	buf_format(&path, "%s.tmp", file);
	fd = path.failed ? -1 : open(buf_text(&path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		ctl_say("%s: cannot be written", file);
		return CTL_FAILED;
	}
	status = fetch_into(client, fd);
	if (status == CTL_DONE && (fsync(fd) != 0 || rename(buf_text(&path), file) != 0 ||
					  !file_sync_parent(str_of(file), &err))) {
		ctl_say("%s: cannot be written", file);
		status = CTL_FAILED;
	}
	if (status != CTL_DONE)
		(void)unlink(buf_text(&path));
	return status;
}

int ctl_export(const struct command_call *call)
{
	AUTO(client) *client = NULL;
	int status;

	if (!client_new(&client, call, &status))
		return status;
	return call->argument ? fetch_file(client, call->argument) : fetch_into(client, STDOUT_FILENO);
}

/* Import. */

/* A file, and how it is sent. */
struct sending {
	const char *method, *path;
	int fd;
	uint64_t len;
	void (*print)(const struct json *root);
};

static int send_file(const struct command_call *call, const struct sending *sending)
{
	const struct client_ask ask = { .method = sending->method,
		.path = sending->path,
		.body_fd = sending->fd,
		.body_fd_len = sending->len,
		.type = LINES_TYPE };
	AUTO(client) *client = NULL;
	AUTO(json_doc) *doc = NULL;
	struct http_result result;
	int status;

	if (!client_new(&client, call, &status))
		return status;
	status = client_send(client, &ask, &result);
	if (status == CTL_DONE && command_option(call, "--json"))
		show_bytes(buf_str(&result.body));
	else if (status == CTL_DONE && show_parse(&result, &doc))
		sending->print(json_root(doc));
	else if (status == CTL_DONE)
		status = CTL_FAILED;
	http_result_fini(&result);
	return status;
}

/* -1: it was said why not. */
static int open_file(const char *path, struct sending *sending)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || !st.st_size) {
		ctl_say("%s: cannot be read as a file, or is empty", path);
		return -1;
	}
	sending->fd = fd;
	sending->len = (uint64_t)st.st_size;
	return TAKE_FD(fd);
}

static void print_imported(const struct json *root)
{
	show_object(root, NULL);
}

static bool is_mode(const char *mode)
{
	return !strcmp(mode, "merge") || !strcmp(mode, "replace");
}

int ctl_import(const struct command_call *call)
{
	const char *mode = command_option(call, "--mode");
	AUTO_FINI(buf) path = buf_limit(256);
	struct sending sending = { .method = "POST", .print = print_imported };
	AUTO_FD fd = -1;

	if (!call->argument || (mode && !is_mode(mode)))
		return ctl_wrong("import: needs the FILE of an export; --mode is merge or replace");
	fd = open_file(call->argument, &sending);
	if (fd < 0)
		return CTL_FAILED;
	buf_format(&path, "/api/import?mode=%s", mode ? mode : "merge");
	if (command_option(call, "--dry-run"))
		buf_puts(&path, "&dryRun=true");
	sending.path = buf_text(&path);
	return send_file(call, &sending);
}

/* Many of a kind. */

static void print_items(const struct json *root)
{
	static const char *const heads[] = { "ID", "HOW", "API KEY", NULL };
	static const char *const members[] = { "id", "how", "apiKey", NULL };
	const struct json *items = json_find(root, "items");
	AUTO(grid) *grid = grid_new(heads);

	for (size_t i = 0; i < json_len(items); i++)
		for (size_t c = 0; members[c]; c++)
			show_put(grid, json_find(json_at(items, i), members[c]));
	grid_print(grid, stdout);
}

static const char *method_of(const char *how)
{
	static const struct {
		const char *how, *method;
	} ways[] = { { "create", "POST" }, { "replace", "PUT" }, { "set", "PATCH" }, { "delete", "DELETE" } };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(ways[i].how, how))
			return ways[i].method;
	return NULL;
}

/* Each line is what the command for one takes, with its id. */
int ctl_bulk(const struct command_call *call)
{
	struct sending sending = { .method = call->argument ? method_of(call->argument) : NULL,
		.print = print_items };
	AUTO_FINI(buf) path = buf_limit(4096);
	AUTO_FD fd = -1;

	if (!sending.method || call->arguments_len != 3)
		return ctl_wrong(
			"bulk: needs create, replace, set or delete, a KIND, and a FILE of JSON, one a line");
	fd = open_file(call->arguments[2], &sending);
	if (fd < 0)
		return CTL_FAILED;
	buf_puts(&path, "/api/");
	buf_url(&path, str_of(call->arguments[1]), "");
	buf_puts(&path, "/_bulk");
	sending.path = buf_text(&path);
	return send_file(call, &sending);
}
