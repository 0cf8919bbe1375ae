/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/state_backup.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "backup/backup_place.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "leader/leader.h"
#include "leader/state_log.h"
#include "leader/store.h"

#define ATTEMPTS    3 /* while other leaders write, too */
#define SAY_MOST    3
#define SAY_SPAN_MS 60000

struct state_backup {
	struct leader *leader;
	struct backup_place *place;
	struct backup_key *key; /* or NULL */
	struct loop_timer timer;
	bool started, stopped; /* own loop */
	/* Of the one write at a time. */
	struct state *written; /* what is there, as far as we know; or NULL */
	int64_t looked_ms;     /* when that was so */
	struct few said;
	atomic_int_least64_t written_ms; /* of the newest known backup, by the wall clock; 0: none */
	atomic_uint_least64_t revision;
};

static bool make_key(const struct backup_settings *settings, struct backup_key **ret_key, struct error *err)
{
	return !settings->key || backup_key_new(ret_key, str_of(settings->key), err);
}

bool state_backup_new(struct state_backup **ret_backup, struct leader *leader, struct error *err)
{
	const struct backup_settings *settings = &leader->settings->backup;
	AUTO(backup_place) *place = NULL;
	AUTO(backup_key) *key = NULL;
	struct state_backup *backup;

	*ret_backup = NULL;
	if (!settings->enabled || !settings->can_write)
		return true;
	if (!backup_place_new(&place, settings, err) || !make_key(settings, &key, err))
		return error_add(err, "cluster.backup");
	backup = xnew(struct state_backup);
	backup->leader = leader;
	backup->place = TAKE(place);
	backup->key = TAKE(key);
	*ret_backup = backup;
	return true;
}

void state_backup_free(struct state_backup *backup)
{
	if (!backup)
		return;
	state_free(backup->written);
	backup_key_free(backup->key);
	backup_place_free(backup->place);
	free(backup);
}

/* What is there. */

static void note(struct state_backup *backup, const struct backup_head *head)
{
	atomic_store(&backup->written_ms, head->written_ms);
	atomic_store(&backup->revision, head->revision);
}

/* How our state stands to what is there, as a worker that had it would see us. */
static struct history_claim claim_to(
	struct leader *leader, const struct state *state, const struct backup_head *head)
{
	struct history_claim claim = { .history = *state_history(state) };
	char digest[STATE_DIGEST_TEXT];

	str_hex(head->digest, sizeof(head->digest), digest);
	claim.position = state_log_position(leader->log, head->revision, digest);
	if (leader->settings->replaces)
		(void)!str_copy(str_of(leader->settings->replaces), claim.replaces, sizeof(claim.replaces));
	return claim;
}

enum step { STEP_WRITE, STEP_NOTHING, STEP_REFUSED };

static enum step refuse(const struct state_backup *backup, const struct history_claim *claim,
	const struct state *state, const struct backup_head *head, struct error *err)
{
	enum history_verdict verdict = history_judge(&head->history, head->revision, claim);
	AUTO_FINI(buf) why = buf_limit(HISTORY_TEXT_MAX);

	history_explain(verdict, &head->history, head->revision, claim, state_revision(state), &why);
	log_error("backup.refused",
		"place=%s why=%s what=\"it is not overwritten: zot-leader restore --from-backup brings it "
		"back, or "
		"move it away\"",
		log_quote(str_of(backup_place_name(backup->place))), log_quote(buf_str(&why)));
	(void)error_set(
		err, ERROR_CONFLICT, NULL, "the backup that is there is %s", history_verdict_name(verdict));
	return STEP_REFUSED;
}

static bool is_later(const struct backup_head *head, const struct state *state)
{
	return history_same(&head->history, state_history(state)) && head->revision > state_revision(state);
}

static bool is_young(const struct backup_head *head, const struct state *state)
{
	return history_same(&head->history, state_history(state)) &&
	       state_is(state, head->revision, head->digest) &&
	       backup_age_ms(head, clock_wall_ms()) < STATE_BACKUP_REFRESH_MS;
}

static enum step judge(struct state_backup *backup, const struct state *state, const struct backup_head *head,
	struct error *err)
{
	struct history_claim claim = claim_to(backup->leader, state, head);

	if (is_young(head, state))
		return STEP_NOTHING;
	if (history_judge(&head->history, head->revision, &claim) == HISTORY_FOLLOW)
		return STEP_WRITE;
	if (is_later(head, state)) {
		log_warn("backup.newer",
			"place=%s revision=%" PRIu64 " ours=%" PRIu64 " what=\"left as it is\"",
			log_quote(str_of(backup_place_name(backup->place))), head->revision,
			state_revision(state));
		return STEP_NOTHING;
	}
	return refuse(backup, &claim, state, head, err);
}

/* Writing. */

static bool put(struct state_backup *backup, const struct state *state, const struct backup_found *replaced,
	struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(BACKUP_BYTES_MAX);
	struct backup_head head = { .history = *state_history(state),
		.revision = state_revision(state),
		.written_ms = clock_wall_ms() };
	int64_t begun_ms = clock_ms();

	backup_encode(state, head.written_ms, backup->key, &bytes);
	if (!buf_check(&bytes, "backup", err) ||
		!backup_place_write(backup->place, replaced, buf_str(&bytes), err))
		return false;
	note(backup, &head);
	counter_add(&backup->leader->counters.backups_total, 1);
	log_info("backup.written", "place=%s revision=%" PRIu64 " bytes=%zu ms=%" PRId64,
		log_quote(str_of(backup_place_name(backup->place))), head.revision, bytes.len,
		clock_ms() - begun_ms);
	return true;
}

static bool write_once(struct state_backup *backup, const struct state *state, struct error *err)
{
	struct backup_found found;
	struct backup_head head;
	enum step step;
	struct error look;

	if (!backup_place_look(backup->place, &found, &look)) {
		if (look.kind == ERROR_UNKNOWN)
			return put(backup, state, NULL, err);
		*err = look;
		return false;
	}
	if (!backup_read_head(str_from(found.first, found.len), &head, err))
		return error_add(err, "%s is not overwritten", backup_place_name(backup->place));
	note(backup, &head);
	step = judge(backup, state, &head, err);
	if (step == STEP_WRITE)
		return put(backup, state, &found, err);
	return step == STEP_NOTHING;
}

static void fail(struct state_backup *backup, const struct error *err)
{
	counter_add(&backup->leader->counters.backup_failures_total, 1);
	if (few_take(&backup->said, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_error("backup.failed", "place=%s error=%s trying again",
			log_quote(str_of(backup_place_name(backup->place))), log_quote(str_of(err->text)));
}

static bool is_due(const struct state_backup *backup, const struct state *state)
{
	if (!state_revision(state))
		return false;
	return !backup->written || !state_same(backup->written, state) ||
	       clock_ms() - backup->looked_ms >= STATE_BACKUP_REFRESH_MS;
}

static void write_newest(struct state_backup *backup)
{
	AUTO(state) *state = leader_state(backup->leader);
	struct error err;
	bool ok = false;

	if (!is_due(backup, state))
		return;
	for (unsigned i = 0; !ok && i < ATTEMPTS && (!i || err.kind == ERROR_CONFLICT); i++)
		ok = write_once(backup, state, &err);
	if (!ok) {
		fail(backup, &err);
		return;
	}
	state_free(backup->written);
	backup->written = TAKE(state);
	backup->looked_ms = clock_ms();
}

/* The timer. */

static void run(void *arg)
{
	write_newest(arg);
}

static void on_turn(void *arg);

static void turn_later(struct state_backup *backup)
{
	struct leader *leader = backup->leader;

	if (!backup->stopped)
		loop_timer_start(
			leader->loop, &backup->timer, leader->settings->backup.every_ms, on_turn, backup);
}

static void turned(void *arg)
{
	struct state_backup *backup = arg;

	loop_assert(backup->leader->loop);
	turn_later(backup);
}

static void on_turn(void *arg)
{
	struct state_backup *backup = arg;

	loop_assert(backup->leader->loop);
	if (!pool_submit_then(backup->leader->pool, run, backup->leader->loop, turned, backup))
		turn_later(backup);
}

void state_backup_start(struct state_backup *backup)
{
	if (!backup)
		return;
	loop_assert(backup->leader->loop);
	backup->started = true;
	loop_timer_start(backup->leader->loop, &backup->timer, 0, on_turn, backup);
}

void state_backup_stop(struct state_backup *backup)
{
	if (!backup)
		return;
	loop_assert(backup->leader->loop);
	backup->stopped = true;
	loop_timer_stop(backup->leader->loop, &backup->timer);
}

void state_backup_finish(struct state_backup *backup)
{
	if (backup && backup->started)
		write_newest(backup);
}

/* What is told. */

int64_t state_backup_age_ms(const struct state_backup *backup)
{
	const struct backup_head head = { .written_ms = backup ? atomic_load(&backup->written_ms) : 0 };

	return head.written_ms ? backup_age_ms(&head, clock_wall_ms()) : -1;
}

uint64_t state_backup_revision(const struct state_backup *backup)
{
	return backup ? atomic_load(&backup->revision) : 0;
}

/* An empty store. */

static bool say_there_is_one(
	const struct leader *leader, const char *place, const struct backup_head *head, struct error *err)
{
	const char *replaces = leader->settings->replaces;

	if (replaces && !strcmp(replaces, head->history.cluster))
		return true;
	if (store_is_redis(leader->settings))
		return error_set(err, ERROR_CONFLICT, NULL,
			"Redis is empty, and %.40s is a backup of cluster %s: restore it without REDIS_URL, "
			"into a "
			"folder; or for a new beginning ZOT_CLUSTER_REPLACES=%s",
			place, head->history.cluster, head->history.cluster);
	return error_set(err, ERROR_CONFLICT, NULL,
		"the store is empty, and %.60s is a backup of cluster %s at revision %" PRIu64
		": zot-leader restore --from-backup; or for a new beginning ZOT_CLUSTER_REPLACES=%s",
		place, head->history.cluster, head->revision, head->history.cluster);
}

static bool look_for_one(const struct leader *leader, struct backup_place *place, struct error *err)
{
	struct backup_found found;
	struct backup_head head;
	struct error look;
	bool there = backup_place_look(place, &found, &look) &&
		     backup_read_head(str_from(found.first, found.len), &head, &look);

	if (there)
		return say_there_is_one(leader, backup_place_name(place), &head, err);
	if (look.kind != ERROR_UNKNOWN)
		log_warn("backup.read", "place=%s error=%s what=\"whether there is a backup is not known\"",
			log_quote(str_of(backup_place_name(place))), log_quote(str_of(look.text)));
	return true;
}

bool state_backup_check_empty(struct leader *leader, struct error *err)
{
	const struct backup_settings *settings = &leader->settings->backup;
	AUTO(backup_place) *place = NULL;

	if (!settings->enabled || !settings->can_read || state_log_revision(leader->log))
		return true;
	return backup_place_new(&place, settings, err) && look_for_one(leader, place, err);
}
