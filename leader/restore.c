/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "backup/backup_place.h"
#include "common/check.h"
#include "common/command.h"
#include "common/file.h"
#include "common/http_client.h"
#include "common/url.h"
#include "leader/ledger.h"
#include "leader/settings.h"
#include "leader/store.h"
#include "proto/backup.h"
#include "proto/state_chain.h"
#include "proto/state_token.h"

#define STALL_MS 60000

static bool is_url(const char *text)
{
	return str_starts(str_of(text), "http://") || str_starts(str_of(text), "https://");
}

/* A worker that runs. */

static bool send(const struct leader_settings *settings, const struct restore_from *from,
	struct http_result *result, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) token = buf_limit(PEER_TOKEN_MAX);
	AUTO_FINI(buf) url = buf_limit(4096);

	buf_add(&url, url_without_end(str_of(from->worker)));
	buf_puts(&url, STATE_TOKEN_PATH);
	state_token_format(settings->secret ? settings->secret : settings->client_secret, &token);
	if (!buf_check(&token, "token", err) || !buf_check(&url, "URL", err))
		return false;
	CHECK(http_headers_add(headers, STR(PEER_HEADER), buf_str(&token)));
	const struct http_call_spec spec = { .method = "GET",
		.url = buf_text(&url),
		.headers = headers,
		.body_fd = -1,
		.ca_file = from->ca_file,
		.stall_ms = STALL_MS };
	return http_send(&spec, result, err);
}

static bool ask_worker(const struct leader_settings *settings, const struct restore_from *from,
	struct buf *into, struct error *err)
{
	struct http_result result;
	bool ok;

	if (!settings->secret && !settings->client_secret)
		return error_set(err, ERROR_INVALID, NULL,
			"a worker is asked with ZOT_CLUSTER_SECRET or CLUSTER_LEADER_CLIENT_SECRET; neither "
			"is set");
	http_result_init(&result, STATE_BYTES_MAX);
	ok = send(settings, from, &result, err);
	if (ok && result.status != 200)
		ok = error_set(err, ERROR_DENIED, NULL, "it answered %u %.150s", result.status,
			buf_text(&result.body));
	if (ok)
		buf_add(into, buf_str(&result.body));
	http_result_fini(&result);
	return ok && buf_check(into, "state", err);
}

/* As a worker would go on with it. */
static void say_left(const char *path, const struct state_chain_read *read)
{
	AUTO_FINI(buf) text = buf_limit(1024);

	buf_format(&text,
		"restore: %s: %" PRIu64 " bytes from %" PRIu64
		" on are left out: %s. What is before them ends with revision %" PRIu64,
		path, read->left, read->chain.bytes, read->why.text, state_revision(read->state));
	command_say("zot-leader: warning", &text);
}

static bool read_state(const struct leader_settings *settings, const struct restore_from *from,
	struct state **ret_state, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(STATE_CHAIN_MAX);
	struct state_chain_read read;
	bool ok = is_url(from->worker) ? ask_worker(settings, from, &bytes, err)
				       : file_read(from->worker, &bytes, err);

	if (!ok || !state_chain_read(buf_str(&bytes), &read, err))
		return error_add(err, "%s", from->worker);
	if (read.left)
		say_left(from->worker, &read);
	*ret_state = read.state;
	return true;
}

/* A backup of the state. */

static bool fetch_backup(const struct backup_settings *settings, struct buf *into, struct error *err)
{
	AUTO(backup_place) *place = NULL;

	if (!settings->enabled)
		return error_set(err, ERROR_INVALID, NULL,
			"CLUSTER_BACKUP_ENABLED is not true, so where the backup lies is not known; name its "
			"file, or set it");
	return backup_place_new(&place, settings, err) &&
	       (backup_place_read(place, into, err) || error_add(err, "%s", backup_place_name(place)));
}

static bool read_backup(const struct leader_settings *settings, const struct restore_from *from,
	struct state **ret_state, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(BACKUP_BYTES_MAX);
	AUTO(backup_key) *key = NULL;

	if (settings->backup.key && !backup_key_new(&key, str_of(settings->backup.key), err))
		return error_add(err, "CLUSTER_BACKUP_KEY");
	return (from->file ? file_read(from->file, &bytes, err)
			   : fetch_backup(&settings->backup, &bytes, err)) &&
	       backup_decode(buf_str(&bytes), key, BACKUP_FOR_LEADER, STATE_BYTES_MAX, ret_state, err);
}

/* The one of the two that is not NULL. */
static bool restore_one(const struct leader_settings *settings, const char *file, const struct state *state,
	struct ledger_restored *ret, struct error *err)
{
	char leader[STORE_LEADER_SIZE];
	const struct ledger_redis_settings redis = store_redis(settings, settings->redis_url, leader);

	if (store_is_redis(settings))
		return ledger_restore_redis(&redis, settings->data, file, state, ret, err);
	return file ? ledger_restore(settings->data, file, ret, err)
		    : ledger_restore_state(settings->data, state, ret, err);
}

static bool restore(const struct leader_settings *settings, const struct restore_from *from,
	struct ledger_restored *ret, struct error *err)
{
	AUTO(state) *state = NULL;

	if (from->file && !from->backup)
		return restore_one(settings, from->file, NULL, ret, err);
	return (from->backup ? read_backup(settings, from, &state, err)
			     : read_state(settings, from, &state, err)) &&
	       (state_revision(state) ||
		       error_set(err, ERROR_INVALID, NULL, "%s: it has no state", from->worker)) &&
	       restore_one(settings, NULL, state, ret, err);
}

static void say(const struct restore_from *from, const struct ledger_restored *restored)
{
	(void)printf("Restored: revision %" PRIu64 " of cluster %s, now generation %" PRIu64
		     ". Start the leader; workers follow it.\n",
		restored->loaded.revision, restored->loaded.history.cluster,
		restored->loaded.history.generation);
	if (*restored->aside)
		(void)printf("What was there is %s.\n", restored->aside);
	if (from->backup)
		(void)puts("Users, API keys, policies, settings and the workers' own credentials are as they "
			   "were "
			   "when it was written. A backup of the state does not have: usage, what was "
			   "granted of "
			   "quotas today, and members (they come back by themselves).");
	if (from->worker)
		(void)puts(
			"Passwords of users and API keys are as the worker knew them: sign in as before. A "
			"worker "
			"does not have: usage, what was granted of quotas today, members (they come back by "
			"themselves), and the workers' own credentials (/api/worker), which are to be made "
			"anew.");
}

int restore_run(const struct leader_settings *settings, const struct restore_from *from)
{
	struct ledger_restored restored;
	AUTO_FINI(buf) text = buf_limit(1024);
	struct error err;
	bool ok;

	if ((from->file || from->backup) == (from->worker != NULL)) {
		buf_puts(&text,
			"restore: name a file, or a worker by --from-worker, or --from-backup; one of them");
		command_say("zot-leader: error", &text);
		return 2;
	}
	http_client_init();
	ok = restore(settings, from, &restored, &err);
	http_client_fini();
	if (!ok) {
		buf_format(&text, "restore: %s. Nothing has changed", err.text);
		command_say("zot-leader: error", &text);
		return 1;
	}
	say(from, &restored);
	return 0;
}
