/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/command.h"
#include "common/file.h"
#include "common/http_fetch.h"
#include "leader/ledger.h"
#include "leader/local.h"
#include "leader/settings.h"
#include "leader/store.h"

/* The leader copies and checks the store before it says a word. */
#define STALL_MS 600000

/* Whatever another status says is why. */
static bool ask(const struct local *local, int fd, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) url = buf_limit(512);
	AUTO_FINI(buf) secret = buf_limit(256);
	AUTO_FINI(http_fetched) fetched = { 0 };

	buf_format(&url, "%s/api/cluster/backup", local->url);
	buf_format(&secret, "Bearer %s", local->secret);
	CHECK(http_headers_add(headers, STR("Authorization"), buf_str(&secret)));
	/* Its certificate is for another name than this machine's own. */
	const struct http_call_spec spec = { .method = "GET",
		.url = buf_text(&url),
		.headers = headers,
		.body_fd = -1,
		.insecure = true,
		.stall_ms = STALL_MS };
	if (!http_fetch_file(&spec, fd, &fetched, err))
		return false;
	return fetched.status == 200 || error_set(err, ERROR_UNAVAILABLE, NULL, "the leader answered %u %.*s",
						fetched.status, STR_ARGS(buf_str(&fetched.why)));
}

/* From the leader that runs. */
static bool fetch_backup(const struct local *local, const char *path, struct error *err)
{
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_sys(err, "%s", path);
	return ask(local, fd, err) && (fsync(fd) == 0 || error_sys(err, "%s", path));
}

/* Also while leaders run: it is of one moment. */
static bool copy_redis(const struct leader_settings *settings, const char *path, struct error *err)
{
	AUTO(ledger_copy) *copy = NULL;
	struct ledger *ledger;
	bool more = true, ok;

	if (!store_open_there(settings, &ledger, err))
		return false;
	ok = ledger_copy_new(&copy, ledger, path, err);
	while (ok && more)
		ok = ledger_copy_step(copy, &more, err);
	ledger_copy_free(TAKE(copy));
	ledger_close(ledger);
	return ok;
}

static bool make(const struct leader_settings *settings, const char *path, struct ledger_loaded *ret,
	struct error *err)
{
	struct local local;

	if (store_is_redis(settings))
		return copy_redis(settings, path, err) && ledger_look(path, ret, err);
	if (!store_is_there(settings, err))
		return false;
	/* Nobody has the folder: it is copied from here. */
	if (ledger_copy_folder(settings->data, path, ret, err))
		return true;
	if (err->kind != ERROR_UNAVAILABLE || !local_read(settings, &local, err))
		return false;
	return fetch_backup(&local, path, err) && ledger_look(path, ret, err);
}

static bool is_free(const char *file, bool force, struct error *err)
{
	struct stat st;

	if (force || (lstat(file, &st) != 0 && errno == ENOENT))
		return true;
	return error_set(err, ERROR_CONFLICT, NULL, "%s exists; --force replaces it", file);
}

static bool backup(const struct leader_settings *settings, const char *file, bool force,
	struct ledger_loaded *ret, struct error *err)
{
	AUTO_FINI(buf) path = buf_limit(4096);
	bool ok;

	buf_format(&path, "%s.tmp", file);
	ok = buf_check(&path, "path", err) && is_free(file, force, err) &&
	     make(settings, buf_text(&path), ret, err) &&
	     (rename(buf_text(&path), file) == 0 || error_sys(err, "%s", file)) &&
	     file_sync_parent(str_of(file), err);
	if (!ok && !path.failed)
		(void)unlink(buf_text(&path));
	return ok;
}

int backup_run(const struct leader_settings *settings, const char *file, bool force)
{
	struct ledger_loaded loaded;
	struct error err;
	AUTO_FINI(buf) text = buf_limit(1024);
	bool ok;

	http_client_init();
	ok = backup(settings, file, force, &loaded, &err);
	http_client_fini();
	if (!ok) {
		buf_format(&text, "backup: %s", err.text);
		command_say("zot-leader: error", &text);
		return 1;
	}
	(void)printf("%s: revision %" PRIu64 " of cluster %s, generation %" PRIu64 "\n", file,
		loaded.revision, loaded.history.cluster, loaded.history.generation);
	return 0;
}
