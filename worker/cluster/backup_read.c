/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/backup_read.h"

#include <inttypes.h>
#include <stdlib.h>

#include "backup/backup_place.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"

#define MISSES   3 /* and each leader was asked once */
#define AGAIN_MS 5000
#define DAY_MS   (24 * 3600 * INT64_C(1000))

struct backup_read {
	struct cluster *cluster;
	backup_taken_f *taken;
	void *arg;
	struct backup_place *place;
	struct backup_key *key; /* or NULL */
	size_t misses;
	int64_t not_before_ms;
	bool running;
	/* What the job found. */
	struct backup_taken found;
	bool ok;
	struct error err;
};

static bool prepare(struct backup_read *read, const struct backup_settings *settings, struct error *err)
{
	return backup_place_new(&read->place, settings, err) &&
	       (!settings->key || backup_key_new(&read->key, str_of(settings->key), err));
}

struct backup_read *backup_read_new(struct cluster *cluster, backup_taken_f *taken, void *arg)
{
	const struct backup_settings *settings = cluster->settings.backup;
	struct backup_read *read;
	struct error err;

	if (!settings)
		return NULL;
	read = xnew(struct backup_read);
	*read = (struct backup_read){ .cluster = cluster, .taken = taken, .arg = arg };
	if (prepare(read, settings, &err))
		return read;
	log_warn("backup.read", "error=%s", log_quote(str_of(err.text)));
	backup_read_free(read);
	return NULL;
}

void backup_read_free(struct backup_read *read)
{
	if (!read)
		return;
	backup_place_free(read->place);
	backup_key_free(read->key);
	free(read);
}

/* Reading. */

static bool check_age(const struct backup_read *read, int64_t age_ms, struct error *err)
{
	int64_t most = read->cluster->settings.backup->max_age_ms;

	return age_ms <= most || error_set(err, ERROR_INVALID, NULL,
					 "it was written %" PRId64 " days (%" PRId64
					 " ms) ago, and CLUSTER_BACKUP_MAX_AGE allows %" PRId64 " ms",
					 age_ms / DAY_MS, age_ms, most);
}

static bool read_now(struct backup_read *read, struct error *err)
{
	struct cluster *cluster = read->cluster;
	AUTO_FINI(buf) bytes = buf_limit((size_t)cluster->settings.state_limit);
	AUTO(state) *state = NULL;
	struct snapshot_rules rules = cluster_rules(cluster);
	struct backup_head head;

	read->found.rules_version = rules.version;
	if (!backup_place_read(read->place, &bytes, err) || !backup_read_head(buf_str(&bytes), &head, err))
		return false;
	read->found.age_ms = backup_age_ms(&head, clock_wall_ms());
	return check_age(read, read->found.age_ms, err) &&
	       backup_decode(buf_str(&bytes), read->key, BACKUP_FOR_WORKER,
		       (size_t)cluster->settings.state_limit, &state, err) &&
	       snapshot_new_state(&read->found.snapshot, state, cluster->self, NULL, &rules, err);
}

static void run(void *arg)
{
	struct backup_read *read = arg;

	read->ok = read_now(read, &read->err);
}

static void say_taken(const struct backup_read *read)
{
	const struct state *state = read->found.snapshot->state;

	log_warn("state.of_backup",
		"place=%s revision=%" PRIu64 " cluster=%s generation=%" PRIu64 " age_ms=%" PRId64
		" what=\"no leader answers, and there is no state on disk\"",
		log_quote(str_of(backup_place_name(read->place))), state_revision(state),
		state_history(state)->cluster, state_history(state)->generation, read->found.age_ms);
}

static void done(void *arg)
{
	struct backup_read *read = arg;

	loop_assert(read->cluster->run.loop);
	read->running = false;
	read->not_before_ms = clock_ms() + AGAIN_MS;
	if (!read->ok) {
		log_warn("backup.read", "place=%s error=%s trying again",
			log_quote(str_of(backup_place_name(read->place))), log_quote(str_of(read->err.text)));
		return;
	}
	say_taken(read);
	read->taken(read->arg, &read->found);
}

void backup_read_missed(struct backup_read *read)
{
	struct cluster *cluster;

	if (!read)
		return;
	cluster = read->cluster;
	loop_assert(cluster->run.loop);
	read->misses++;
	if (read->running || read->misses < MISSES || read->misses < cluster->settings.leader_urls.len ||
		clock_ms() < read->not_before_ms)
		return;
	read->running = pool_submit_then(cluster->run.pool, run, cluster->run.loop, done, read);
}
