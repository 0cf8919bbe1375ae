/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/leader.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/http_client.h"
#include "common/http_server.h"
#include "common/http_tickets.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "common/proxies.h"
#include "common/supervisor.h"
#include "common/tls_files.h"
#include "leader/api.h"
#include "leader/audit.h"
#include "leader/dump.h"
#include "leader/feed.h"
#include "leader/figures.h"
#include "leader/fellows.h"
#include "leader/first_start.h"
#include "leader/follow.h"
#include "leader/grants.h"
#include "leader/hearing.h"
#include "leader/lane.h"
#include "leader/ledger_follow.h"
#include "leader/live.h"
#include "leader/login.h"
#include "leader/members.h"
#include "leader/nearest.h"
#include "leader/pages/pages.h"
#include "leader/refusals.h"
#include "leader/ring_write.h"
#include "leader/shares.h"
#include "leader/state_backup.h"
#include "leader/state_log.h"
#include "leader/store.h"
#include "leader/stored_entities.h"
#include "leader/strangers.h"
#include "leader/sweep.h"
#include "proto/own_key.h"

#define POOL_QUEUE_MAX 20000
/* An orderly stop: how long requests have to end. */
#define FINISH_MS 3000
/* The same of one that starts anew: who has connected just now has so long to say what it wants. */
#define ANEW_MS  250
#define SAY_MOST 3
/* Lines of the log in SAY_SPAN_MS, of one address and of all. */
#define REFUSALS_EACH 10
#define REFUSALS_ALL  100
#define SAY_SPAN_MS   60000

struct leader_process {
	struct leader leader;
	struct tls_files tls_files;
	struct http_tickets *tickets; /* of TLS */
	int signals;
	uint16_t port;
	int listening; /* the port once more, for who starts anew; -1: closed */
	struct loop_timer drain, finish, watchdog;
	int64_t finish_by_ms; /* 0: not yet */
};

/* State. */

struct state *leader_state(struct leader *leader)
{
	return state_log_state(leader->log);
}

struct cluster_settings leader_cluster(struct leader *leader)
{
	AUTO(state) *state = leader_state(leader);
	struct entity *entity = state_find(state, ENTITY_SETTINGS, STR("cluster"));

	if (entity)
		return *entity_settings(entity);
	return first_start_cluster(leader->settings);
}

uint64_t leader_ring_epoch(const struct state *state)
{
	struct entity *entity = state_find(state, ENTITY_RING, STR("ring"));

	return entity ? (uint64_t)entity_ring(entity)->epoch : 0;
}

void leader_lock(struct leader *leader)
{
	lock_take(&leader->turn);
	lock_take(&leader->lock);
	lock_drop(&leader->turn);
}

bool leader_lock_within(struct leader *leader, int64_t ms)
{
	return lock_take_within(&leader->lock, ms);
}

void leader_unlock(struct leader *leader)
{
	lock_drop(&leader->lock);
}

void leader_assert_locked(const struct leader *leader)
{
	lock_assert(&leader->lock);
}

/* What a write makes: the entities at the next revision, the state with them, and what the audit has of it. */
struct made {
	struct entity **stamped;
	size_t len;
	struct state *state;
	struct audit_batch batch;
};

static struct made make(struct leader *leader, const struct ledger_change *changes, size_t len)
{
	AUTO(state) *now = leader_state(leader);
	struct made made = { .stamped = xnew_array(struct entity *, len), .len = len };
	uint64_t revision = state_revision(now) + 1;

	for (size_t i = 0; i < len; i++)
		made.stamped[i] = entity_with_revision(changes[i].entity, revision);
	made.state = state_change(now, made.stamped, len, revision);
	audit_batch_init(&made.batch, now, changes, len);
	return made;
}

static void made_fini(struct made *made)
{
	for (size_t i = 0; i < made->len; i++)
		entity_free(made->stamped[i]);
	free(made->stamped);
	audit_batch_fini(&made->batch);
	state_free(made->state);
}

bool leader_check_fits(const struct state *state, struct error *err)
{
	if (state_entities(state) > STATE_ENTITIES_MAX)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "a cluster has at most %u entities", STATE_ENTITIES_MAX);
	return state_bytes(state) <= STATE_BYTES_MAX ||
	       error_set(err, ERROR_TOO_LARGE, NULL, "a cluster's entities take at most %u bytes of memory",
		       STATE_BYTES_MAX);
}

void leader_take_state_locked(
	struct leader *leader, struct state *state, struct entity *const *changed, size_t len)
{
	leader_assert_locked(leader);
	state_log_apply(leader->log, state, changed, len);
	sweep_note_locked(leader->sweep, changed, len);
	if (leader->feed)
		feed_changed(leader->feed);
	dump_changed(leader->dump);
}

void leader_want_reports(struct leader *leader, const struct map *recalled)
{
	if (recalled && members_want_reports(leader->members, recalled) && leader->feed)
		feed_reports_wanted(leader->feed);
}

/* Memory is what the ledger is, and the ledger itself cannot tell while a large write is not settled. */
static enum ledger_result check_expected(struct leader *leader, const struct ledger_change *changes,
	size_t len, uint64_t *ret_revision, size_t *ret_at)
{
	AUTO(state) *now = leader_state(leader);

	for (size_t i = 0; i < len; i++) {
		const struct entity *entity = changes[i].entity, *there;

		if (!changes[i].check)
			continue;
		there = state_find(now, entity_kind(entity), entity_id(entity));
		*ret_revision = there ? entity_revision(there) : 0;
		*ret_at = i;
		if (*ret_revision != changes[i].expected)
			return LEDGER_STALE;
	}
	return LEDGER_WRITTEN;
}

static enum ledger_result write_once(struct leader *leader, const struct ledger_change *changes, size_t len,
	uint64_t *ret_revision, size_t *ret_at, struct error *err)
{
	AUTO_FINI(made) made = make(leader, changes, len);
	enum ledger_result result;

	result = check_expected(leader, changes, len, ret_revision, ret_at);
	if (result == LEDGER_STALE)
		counter_add(&leader->counters.writes_stale_total, 1);
	if (result != LEDGER_WRITTEN)
		return result;
	if (!leader_check_fits(made.state, err))
		return LEDGER_FAILED;
	result = ledger_write(
		leader->ledger, made.batch.changes, len, state_digest(made.state), ret_revision, ret_at, err);
	/* Memory, under the same lock, had what was expected: another leader's write is not in it yet. */
	if (result == LEDGER_STALE && ledger_is_shared(leader->ledger))
		result = LEDGER_BEHIND;
	if (result == LEDGER_STALE)
		counter_add(&leader->counters.writes_stale_total, 1);
	if (result != LEDGER_WRITTEN)
		return result;
	CHECK(*ret_revision == state_revision(made.state));
	leader_take_state_locked(leader, TAKE(made.state), made.stamped, len);
	counter_add(&leader->counters.writes_total, 1);
	return LEDGER_WRITTEN;
}

/* What other leaders stored may be no entity: then what was decided is still so. */
enum ledger_result leader_write_locked(struct leader *leader, const struct ledger_change *changes, size_t len,
	uint64_t *ret_revision, size_t *ret_at, struct error *err)
{
	uint64_t decided_at = state_log_revision(leader->log);
	enum ledger_result result = LEDGER_BEHIND;

	leader_assert_locked(leader);
	for (unsigned i = 0; i < LEADER_WRITE_TRIES && result == LEDGER_BEHIND; i++) {
		result = write_once(leader, changes, len, ret_revision, ret_at, err);
		if (result == LEDGER_BEHIND && !follow_locked(leader, err))
			return LEDGER_FAILED;
		if (result == LEDGER_BEHIND && state_log_revision(leader->log) != decided_at)
			return LEDGER_BEHIND;
	}
	if (result == LEDGER_BEHIND)
		(void)error_set(err, ERROR_BUSY, NULL, "other leaders write all the time; try again");
	return result == LEDGER_BEHIND ? LEDGER_FAILED : result;
}

bool leader_try_again_locked(struct leader *leader, bool done, unsigned *tries, struct error *err)
{
	leader_assert_locked(leader);
	return !done && (*tries)++ < LEADER_WRITE_TRIES && follow_was_behind_locked(leader, err);
}

bool leader_forget_locked(
	struct leader *leader, const char *member, const struct ledger_audit *audit, struct error *err)
{
	unsigned tries = 0;
	bool done;

	leader_assert_locked(leader);
	do
		done = ledger_delete_member(leader->ledger, member, audit, err);
	while (leader_try_again_locked(leader, done, &tries, err));
	if (!done)
		return false;
	members_erase(leader->members, str_of(member));
	return true;
}

bool leader_audit_locked(
	struct leader *leader, const struct ledger_audit *rows, size_t len, struct error *err)
{
	unsigned tries = 0;
	bool done;

	leader_assert_locked(leader);
	do
		done = ledger_put_audit(leader->ledger, rows, len, err);
	while (leader_try_again_locked(leader, done, &tries, err));
	return done;
}

bool leader_settle_locked(struct leader *leader, struct error *err)
{
	unsigned tries = 0;
	bool heard, done;

	leader_assert_locked(leader);
	do {
		if (!hearing_is_due(leader->hearing, clock_ms(), &heard))
			return true;
		done = ledger_put_heard(leader->ledger, heard, err);
	} while (leader_try_again_locked(leader, done, &tries, err));
	if (done)
		hearing_stored(leader->hearing, heard);
	return done;
}

/* Another leader that was faster is no failure. */
void leader_say_failed_locked(struct leader *leader, const char *event, struct error *err)
{
	leader_assert_locked(leader);
	if (follow_was_behind_locked(leader, err))
		return;
	if (few_take(&leader->writes_failed, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_error(event, "error=%s trying again", log_quote(str_of(err->text)));
}

void leader_try_settle_locked(struct leader *leader)
{
	struct error err;

	if (!leader_settle_locked(leader, &err))
		leader_say_failed_locked(leader, "hearing.store", &err);
}

void leader_store_refusals_locked(struct leader *leader, bool now)
{
	AUTO_FINI(refusals_rows) rows;
	struct error err;

	leader_assert_locked(leader);
	refusals_take(leader->refused, clock_ms(), now, &rows);
	if (!rows.len)
		return;
	if (!leader_audit_locked(leader, rows.at, rows.len, &err))
		leader_say_failed_locked(leader, "audit.store", &err);
}

/* Loading. */

static bool load_pair(void *arg, const struct ledger_pair *pair)
{
	state_log_load_pair(arg, pair->revision, pair->digest);
	return true;
}

/* The program before may have known another digest of it. */
static bool put_newest_pair(struct leader *leader, struct error *err)
{
	AUTO(state) *state = leader_state(leader);
	struct ledger_pair pair = { .revision = state_revision(state) };

	memcpy(pair.digest, state_digest(state), sizeof(pair.digest));
	return !pair.revision || ledger_put_pair(leader->ledger, &pair, err);
}

static bool load_entities(struct leader *leader, struct error *err)
{
	AUTO_FINI(stored_entities) stored = { 0 };
	bool ok = ledger_load_pairs(leader->ledger, load_pair, leader->log, err) &&
		  stored_entities_read(&stored, leader->ledger, err);

	if (ok) {
		const struct state_loaded state = { stored.loaded.history, stored.loaded.revision,
			stored.loaded.forgotten };

		state_log_load(leader->log, stored.at, stored.len, &state);
		ok = put_newest_pair(leader, err);
	}
	return ok;
}

/* Rows of a boot that is over are a few thousand at most, and few boots end while the leader does. */
#define FOLD_ROWS 2000
/* Processes that said "left". */
#define GONE_MAX 1024

struct loaded {
	struct leader *leader;
	size_t lives;
	struct ledger_life last, before; /* of them */
};

static bool load_member(void *arg, const struct ledger_member *member)
{
	struct loaded *loaded = arg;

	members_load(loaded->leader->members, member, clock_ms());
	if (!member->lost_wall_s && strcmp(member->state, "left") != 0)
		hearing_expect(loaded->leader->hearing, member->process);
	return true;
}

static bool load_grant(void *arg, const struct ledger_grant *grant)
{
	grants_load(((struct leader *)arg)->grants, grant);
	return true;
}

static bool load_life(void *arg, const struct ledger_life *life)
{
	struct loaded *loaded = arg;

	hearing_life(loaded->leader->hearing, life->id, life->dealings);
	loaded->before = loaded->last;
	loaded->last = *life;
	loaded->lives++;
	return true;
}

static bool load_gone(void *arg, const char *process)
{
	members_load_gone(((struct leader *)arg)->members, process);
	return true;
}

/* Rows that are not folded count the same. */
static void fold_all(struct leader *leader)
{
	struct error err;
	bool more = true, ok = true;

	while (more && ok)
		ok = ledger_fold(leader->ledger, FOLD_ROWS, &more, &err);
	if (!ok)
		log_warn("grants.fold", "error=%s ignoring", log_quote(str_of(err.text)));
}

static bool load_grants(struct leader *leader, struct error *err)
{
	char oldest[11];

	clock_day(clock_wall_s() - (int64_t)GRANTS_DAYS_KEPT * 86400, oldest);
	fold_all(leader);
	return ledger_load_grants(leader->ledger, oldest, load_grant, leader, err);
}

/* A ledger without a life or a state was made just now: nobody can have been told anything. */
static bool start_hearing(struct loaded *loaded, struct error *err)
{
	struct leader *leader = loaded->leader;
	enum hearing_first first;
	bool joined;

	if (!ledger_begin_life(leader->ledger, load_life, loaded, &joined, err))
		return false;
	if (joined) {
		hearing_join(
			leader->hearing, clock_ms(), leader_cluster(leader).grant_ms, loaded->last.heard);
		return true;
	}
	first = loaded->before.heard ? HEARING_PROOF : HEARING_NO_PROOF;
	if (loaded->lives == 1 && !state_log_revision(leader->log))
		first = HEARING_NONE;
	hearing_start(leader->hearing, clock_ms(), leader_cluster(leader).grant_ms, first);
	return true;
}

/* What others stored while it was loaded. */
static bool follow_all(struct leader *leader, struct error *err)
{
	bool ok;

	leader_lock(leader);
	ok = follow_locked(leader, err);
	leader_unlock(leader);
	return ok;
}

bool leader_load(struct leader *leader, struct error *err)
{
	struct loaded loaded = { .leader = leader };

	members_begin(leader->members, clock_ms());
	return load_entities(leader, err) && ledger_load_members(leader->ledger, load_member, &loaded, err) &&
	       ledger_load_gone(leader->ledger, GONE_MAX, load_gone, leader, err) &&
	       load_grants(leader, err) && start_hearing(&loaded, err) && follow_all(leader, err);
}

/* Building. */

/* The port is as it was before it started anew. */
static bool listen_anew(struct leader_process *process, int *ret_fd)
{
	*ret_fd = supervisor_listening(&process->port);
	return *ret_fd >= 0;
}

static void close_port(struct leader_process *process)
{
	if (process->listening >= 0)
		(void)close(process->listening);
	process->listening = -1;
}

static bool open_server(struct leader_process *process, struct error *err)
{
	struct leader *leader = &process->leader;
	const struct tls_paths paths = { .cert = leader->settings->tls_cert,
		.key = leader->settings->tls_key };
	struct http_tls tls;
	struct http_server_settings settings = { .tls = leader->settings->tls_cert ? &tls : NULL,
		.connection_limit = http_connections_fit((unsigned)leader->settings->connections) };

	process->port = (uint16_t)leader->settings->port;
	settings.tickets = process->tickets = http_tickets_new(NULL, NULL);
	if (!tls_files_read(&process->tls_files, &paths, err))
		return error_add(err, "ZOT_TLS_CERT, ZOT_TLS_KEY");
	tls = tls_files_view(&process->tls_files);
	if (!listen_anew(process, &settings.listen_fd) &&
		!http_listen(leader->settings->address, process->port, false, &settings.listen_fd,
			&process->port, err))
		return false;
	process->listening = fcntl(settings.listen_fd, F_DUPFD_CLOEXEC, 0);
	return http_server_new(&leader->server, leader->loop, &settings, api_app(leader), err);
}

static bool open_leader(struct leader_process *process, struct error *err)
{
	struct leader *leader = &process->leader;
	const struct leader_settings *s = leader->settings;

	leader->log = state_log_new((int)s->compression, s->cache_state_ms);
	leader->members = members_new();
	leader->nearest = nearest_new(leader);
	leader->figures = figures_new(leader->members, leader->nearest);
	leader->shares = shares_new();
	leader->grants = grants_new();
	leader->hearing = hearing_new();
	leader->strangers = strangers_new();
	leader->ring = ring_write_new(leader);
	leader->refused = refusals_new();
	leader->sweep = sweep_new(leader);
	if (!proxies_new(&leader->proxies, s->trusted_proxies.at, s->trusted_proxies.len, err) ||
		!loop_new(&leader->loop, "leader", err) ||
		!pool_new(&leader->pool, (unsigned)s->pool_threads, POOL_QUEUE_MAX, err) ||
		!store_open(s, &leader->ledger, err) || !leader_load(leader, err) ||
		!state_backup_check_empty(leader, err) || !state_backup_new(&leader->backup, leader, err))
		return false;
	leader->counts = lane_new(leader->pool);
	leader->demands = lane_new(leader->pool);
	leader->walks = lane_new(leader->pool);
	leader->bulks = lane_new(leader->pool);
	leader->login = login_new(s, leader->pool);
	leader->selves = few_each_new(&(struct few_each_terms){
		.each = OWN_KEYS_CHANGES, .all = OWN_KEYS_CHANGES_ALL, .span_ms = OWN_KEYS_CHANGES_MS });
	leader->refusals = few_each_new(&(struct few_each_terms){
		.each = REFUSALS_EACH, .all = REFUSALS_ALL, .span_ms = SAY_SPAN_MS });
	leader->feed = feed_new(leader);
	leader->live = live_new(leader);
	if (s->pages)
		leader->pages = pages_new();
	if (s->dump_path)
		leader->dump = dump_new(leader, s->dump_path);
	if (ledger_is_shared(leader->ledger))
		leader->fellows = fellows_new(leader);
	/* A password is shown by who has the port, so that it is the one that is asked. */
	if (!open_server(process, err) || !first_start(leader, err))
		return false;
	dump_changed(leader->dump);
	return true;
}

/* The end. */

static void on_finish(void *arg)
{
	struct leader_process *process = arg;
	struct leader *leader = &process->leader;

	loop_assert(leader->loop);
	if (http_server_requests(leader->server) && clock_ms() < process->finish_by_ms)
		loop_timer_start(leader->loop, &process->finish, 20, on_finish, process);
	else
		loop_stop(leader->loop);
}

/* Who was told to go elsewhere has had the time for it. */
static void on_drained(void *arg)
{
	struct leader_process *process = arg;
	struct leader *leader = &process->leader;

	loop_assert(leader->loop);
	loop_timer_stop(leader->loop, &process->drain);
	if (!atomic_load(&leader->again))
		close_port(process);
	http_server_quiesce(leader->server);
	feed_close(leader->feed);
	live_close(leader->live);
	sweep_stop(leader->sweep);
	nearest_stop(leader->nearest);
	figures_stop(leader->figures);
	state_backup_stop(leader->backup);
	ring_write_stop(leader->ring);
	process->finish_by_ms = clock_ms() + FINISH_MS;
	on_finish(process);
}

static void announce(struct leader_process *process, int64_t delay_ms)
{
	struct leader *leader = &process->leader;

	leader->stopping = true;
	if (atomic_load(&leader->again))
		http_server_accept_no_more(leader->server);
	else
		supervisor_tell("STOPPING=1");
	http_server_wind_down(leader->server);
	live_send_away(leader->live);
	if (delay_ms)
		loop_timer_start(leader->loop, &process->drain, delay_ms, on_drained, process);
	else
		on_drained(process);
}

/* The first announces the end, one that comes then is in a hurry, one more ends all. SIGINT is typed by a person. */
static void on_signal(void *arg, uint32_t events)
{
	struct leader_process *process = arg;
	struct leader *leader = &process->leader;
	struct signalfd_siginfo info;
	int64_t delay_ms;

	loop_assert(leader->loop);
	(void)events;
	if (read(process->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (process->finish_by_ms) {
		loop_stop(leader->loop);
		return;
	}
	if (leader->stopping) {
		atomic_store(&leader->again, false);
		on_drained(process);
		return;
	}
	delay_ms = info.ssi_signo == SIGTERM ? leader->settings->drain_delay_ms : 0;
	if (atomic_load(&leader->again))
		delay_ms = ANEW_MS;
	log_info("leader.stopping", "signal=%u delay_ms=%" PRId64, info.ssi_signo, delay_ms);
	announce(process, delay_ms);
}

void leader_start_anew(struct leader *leader)
{
	if (!atomic_exchange(&leader->again, true))
		(void)kill(getpid(), SIGINT);
}

/* From the loop that serves: one that does not turn says nothing. */
static void on_watchdog(void *arg)
{
	struct leader_process *process = arg;
	struct leader *leader = &process->leader;

	loop_assert(leader->loop);
	supervisor_tell("WATCHDOG=1");
	loop_timer_start(
		leader->loop, &process->watchdog, supervisor_watchdog_ms() / 4 + 1, on_watchdog, process);
}

static bool block_signals(struct leader_process *process, struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	process->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return process->signals >= 0 || error_sys(err, "signalfd");
}

static void close_leader(struct leader_process *process)
{
	struct leader *leader = &process->leader;

	fellows_stop(leader->fellows);
	http_server_free(leader->server);
	pool_free(leader->pool);
	/* What the pool posted at last runs here. */
	if (leader->loop)
		loop_turn(leader->loop, 0);
	state_backup_finish(leader->backup);
	lane_free(leader->counts);
	lane_free(leader->demands);
	lane_free(leader->walks);
	lane_free(leader->bulks);
	feed_free(leader->feed);
	live_free(leader->live);
	fellows_free(leader->fellows);
	dump_free(leader->dump);
	pages_free(leader->pages);
	state_backup_free(leader->backup);
	ring_write_free(leader->ring);
	sweep_free(leader->sweep);
	login_free(leader->login);
	few_each_free(leader->selves);
	few_each_free(leader->refusals);
	refusals_free(leader->refused);
	proxies_free(leader->proxies);
	grants_free(leader->grants);
	hearing_free(leader->hearing);
	strangers_free(leader->strangers);
	shares_free(leader->shares);
	figures_free(leader->figures);
	nearest_free(leader->nearest);
	members_free(leader->members);
	ledger_close(leader->ledger);
	state_log_free(leader->log);
	loop_free(leader->loop);
	lock_fini(&leader->lock);
	lock_fini(&leader->turn);
	lock_fini(&leader->large);
	tls_files_fini(&process->tls_files);
	http_tickets_free(process->tickets);
	if (process->signals >= 0)
		(void)close(process->signals);
	free(process);
}

/* The next one need not hear for long where this one did. */
static void settle_at_end(struct leader *leader)
{
	struct error err;

	leader_lock(leader);
	if (!leader_settle_locked(leader, &err))
		log_warn("hearing.store", "error=%s ignoring", log_quote(str_of(err.text)));
	leader_store_refusals_locked(leader, true);
	leader_unlock(leader);
}

static bool serve(struct leader_process *process, struct error *err)
{
	struct leader *leader = &process->leader;

	if (!block_signals(process, err) || !open_leader(process, err) ||
		!loop_watch(leader->loop, process->signals, EPOLLIN, on_signal, process, err) ||
		!local_write(leader->settings, process->port, &leader->local, err))
		return false;
	if (leader->fellows && !fellows_start(leader->fellows, err))
		return false;
	sweep_start(leader->sweep);
	nearest_start(leader->nearest);
	figures_start(leader->figures, leader->loop);
	state_backup_start(leader->backup);
	AUTO(state) *state = leader_state(leader);
	if (supervisor_watchdog_ms())
		on_watchdog(process);
	log_info("leader.ready",
		"port=%u name=%s data=%s cluster=%s generation=%" PRIu64 " revision=%" PRIu64 " ms=%" PRId64,
		process->port, log_quote(str_of(leader->settings->name)),
		log_quote(str_of(leader->settings->data)), state_history(state)->cluster,
		state_history(state)->generation, state_revision(state), clock_ms() - leader->started_ms);
	supervisor_tell("READY=1");
	loop_run(leader->loop);
	settle_at_end(leader);
	log_info("leader.stopped", "ms=%" PRId64, clock_ms() - leader->started_ms);
	return true;
}

int leader_run(const struct leader_settings *settings, int *ret_listening)
{
	struct leader_process *process = xnew(struct leader_process);
	struct leader *leader = &process->leader;
	struct error err;
	bool ok, again;

	process->signals = process->listening = -1;
	leader->settings = settings;
	leader->started_ms = clock_ms();
	lock_init(&leader->lock);
	lock_init(&leader->turn);
	lock_init(&leader->large);
	http_client_init();
	ok = serve(process, &err);
	if (!ok)
		log_error("leader.start", "error=%s", log_quote(str_of(err.text)));
	again = leader->again;
	if (again)
		*ret_listening = process->listening;
	else
		close_port(process);
	close_leader(process);
	http_client_fini();
	return again ? LEADER_AGAIN : ok ? 0 : 1;
}
