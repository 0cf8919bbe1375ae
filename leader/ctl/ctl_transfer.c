/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_transfer - export and import: all entities, one a line.
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

static int send_file(const struct command_call *call, const char *path, int fd, uint64_t len)
{
	const struct client_ask ask = {
		.method = "POST", .path = path, .body_fd = fd, .body_fd_len = len, .type = LINES_TYPE
	};
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
		show_object(json_root(doc), NULL);
	else if (status == CTL_DONE)
		status = CTL_FAILED;
	http_result_fini(&result);
	return status;
}

static bool is_mode(const char *mode)
{
	return !strcmp(mode, "merge") || !strcmp(mode, "replace");
}

int ctl_import(const struct command_call *call)
{
	const char *mode = command_option(call, "--mode");
	AUTO_FINI(buf) path = buf_limit(256);
	AUTO_FD fd = -1;
	struct stat st;

	if (!call->argument || (mode && !is_mode(mode)))
		return ctl_wrong("import: needs the FILE of an export; --mode is merge or replace");
	fd = open(call->argument, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		ctl_say("%s: cannot be read as a file", call->argument);
		return CTL_FAILED;
	}
	buf_format(&path, "/api/import?mode=%s", mode ? mode : "merge");
	if (command_option(call, "--dry-run"))
		buf_puts(&path, "&dryRun=true");
	return send_file(call, buf_text(&path), fd, (uint64_t)st.st_size);
}
