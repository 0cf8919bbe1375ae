/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup - GET /api/cluster/backup: the store as one file, checked, while the leader goes on.
 *
 * It is copied a piece at a time, so that nobody waits for the lock for long; the copy lies in the data folder, without a name while it
 * is sent. One at a time.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "leader/leader.h"

static bool copy_all(struct leader *leader, struct ledger_copy *copy, struct error *err)
{
	bool ok = true, more = true;

	while (ok && more) {
		leader_lock(leader);
		ok = ledger_copy_step(copy, &more, err);
		leader_unlock(leader);
	}
	return ok;
}

static bool make(struct leader *leader, const char *path, struct ledger_loaded *ret, struct error *err)
{
	AUTO(ledger_copy) *copy = NULL;
	bool ok;

	leader_lock(leader);
	ok = ledger_copy_new(&copy, leader->ledger, path, err);
	leader_unlock(leader);
	ok = ok && copy_all(leader, copy, err);
	/* What is left of one that failed lets go of the store. */
	leader_lock(leader);
	if (!ok)
		ledger_copy_free(TAKE(copy));
	leader_unlock(leader);
	return ok && ledger_copy_end(copy, ret, err);
}

static struct http_response *respond(const char *path, const struct ledger_loaded *loaded)
{
	struct http_response *response;
	struct error err;
	struct stat st;
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0) {
		(void)error_sys(&err, "open the copy");
		return api_error_of(&err);
	}
	(void)unlink(path);
	response = http_response_file(200, TAKE_FD(fd), 0, (uint64_t)st.st_size);
	http_response_header(response, "Content-Type", "application/vnd.sqlite3");
	http_response_headerf(response, "Zot-State-Revision", "%" PRIu64, loaded->revision);
	http_response_header(response, HISTORY_CLUSTER_HEADER, loaded->history.cluster);
	http_response_headerf(response, HISTORY_GENERATION_HEADER, "%" PRIu64, loaded->history.generation);
	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	return response;
}

static struct http_response *backup(struct api_job *job)
{
	AUTO_FINI(buf) path = buf_limit(4096);
	struct ledger_loaded loaded;
	struct error err;

	buf_format(&path, "%s/leader.db.backup", job->leader->settings->data);
	if (!buf_check(&path, "path of the copy", &err) ||
		!make(job->leader, buf_text(&path), &loaded, &err)) {
		log_error("backup.failed", "error=%s", log_quote(str_of(err.text)));
		(void)unlink(buf_text(&path));
		return api_error_of(&err);
	}
	log_info("backup.made", "revision=%" PRIu64 " by=%s", loaded.revision,
		log_quote(str_of(*job->who.user ? job->who.user : "a command on this machine")));
	return respond(buf_text(&path), &loaded);
}

const struct route_about about_backup[] = {
	{ .method = HTTP_GET,
		.summary = "The store as one file.",
		.gives = "Binary",
		.gives_type = "application/vnd.sqlite3" },
	{ 0 },
};

struct http_response *backup_serve(void *arg)
{
	static atomic_bool running;
	struct http_response *response;
	struct error err;

	if (atomic_exchange(&running, true)) {
		(void)error_set(&err, ERROR_BUSY, NULL, "another backup is being made");
		return api_error_of(&err);
	}
	response = backup(arg);
	atomic_store(&running, false);
	return response;
}
