/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several leaders on one Redis: what ledger_follow.h says, and what becomes of a Redis that lost something. test_ledger.c has the rest.
 */
#include "leader/ledger_follow.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/redis.h"
#include "tests/unit/leader/ledger_help.h"
#include "tests/unit/leader/redis_server.h"

struct rig {
	struct redis_server server;
	struct ledger *a, *b;
};

static struct ledger *open_as(const struct redis_server *server, const char *leader)
{
	const struct ledger_redis_settings settings = {
		.url = server->url, .prefix = "zot", .leader = leader
	};
	struct ledger *ledger;
	struct error err;

	if (!ledger_open_redis(&ledger, &settings, &err))
		fail_msg("%s", err.text);
	return ledger;
}

static int setup(void **state)
{
	struct rig *rig = xnew(struct rig);

	redis_server_new(&rig->server, "always");
	rig->a = open_as(&rig->server, "a");
	rig->b = open_as(&rig->server, "b");
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	ledger_close(rig->a);
	ledger_close(rig->b);
	redis_server_fini(&rig->server);
	free(rig);
	return 0;
}

/* What was told, in one line: "a:r1 b:m ..." */
struct told {
	char text[4000];
	unsigned entries;
	struct ledger_life life;
	uint64_t granted, dealings;
	uint8_t digest[ENTITY_HASH_BYTES];
	char note[32];
};

static void add_told(struct told *told, const char *format, ...) PRINTF(2, 3);
static void add_told(struct told *told, const char *format, ...)
{
	size_t len = strlen(told->text);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(told->text + len, sizeof(told->text) - len, format, args);
	va_end(args);
}

static void take_merge(struct told *told, const struct ledger_merge *merge)
{
	add_told(told, " merge=%s", merge->boot);
	for (size_t i = 0; i < merge->grants_len; i++)
		told->granted += merge->grants[i].granted;
	assert_true(str_copy(merge->note, told->note, sizeof(told->note)));
	assert_int_equal(merge->rows_len, 0);
	if (merge->member)
		add_told(told, " with=%s", merge->member->name);
}

static void take_entry(void *arg, const struct ledger_entry *entry)
{
	struct told *told = arg;

	told->entries++;
	add_told(told, "[%s", entry->by);
	if (entry->revision)
		add_told(told, " revision=%" PRIu64, entry->revision);
	for (size_t i = 0; i < entry->entities_len; i++)
		add_told(told, " %.*s%s", STR_ARGS(entity_id(entry->entities[i])),
			entity_is_deleted(entry->entities[i]) ? "-" : "");
	if (entry->digest)
		memcpy(told->digest, entry->digest, sizeof(told->digest));
	if (entry->merge)
		take_merge(told, entry->merge);
	if (entry->member)
		add_told(told, " member=%s", entry->member->name);
	if (entry->forgotten)
		add_told(told, " forgotten=%s", entry->forgotten);
	if (entry->life) {
		add_told(told, " %s heard=%d", entry->life_begins ? "begins" : "life", entry->life->heard);
		told->life = *entry->life;
	}
	if (entry->joins)
		add_told(told, " joins");
	told->dealings = entry->dealings;
	add_told(told, "]");
}

static struct told follow(struct ledger *ledger)
{
	struct told told = { 0 };
	struct error err;

	if (!ledger_follow(ledger, take_entry, &told, &err))
		fail_msg("%s", err.text);
	return told;
}

static enum ledger_result write_user(struct ledger *ledger, const char *name)
{
	uint64_t revision;

	return put(ledger, make_user(name, true), false, 0, &revision);
}

static void who_is_behind_follows_and_tries_again(void **state)
{
	struct rig *rig = *state;
	struct told told;

	assert_true(ledger_is_shared(rig->a));
	assert_int_equal(write_user(rig->a, "ann"), LEDGER_WRITTEN);
	assert_int_equal(write_user(rig->b, "bob"), LEDGER_BEHIND);
	told = follow(rig->b);
	assert_string_equal(told.text, "[a revision=1 ann]");
	assert_memory_equal(told.digest, some_digest, sizeof(some_digest));
	assert_int_equal(write_user(rig->b, "bob"), LEDGER_WRITTEN);
	assert_string_equal(follow(rig->a).text, "[b revision=2 bob]");
	assert_string_equal(follow(rig->a).text, "");
	assert_string_equal(follow(rig->b).text, "");
}

static void reports_are_told_with_their_grants_and_notes(void **state)
{
	struct rig *rig = *state;
	char boot[] = "boot-1", key[] = "key", name[] = "w1";
	struct ledger_grant grant = {
		.boot = boot, .apikey = key, .day = "2999-01-01", .granted = 7, .used = 2
	};
	struct ledger_member member = { .name = name };
	struct usage_row row = { .apikey = key, .day = "2999-01-01", .calls = 5 };
	struct ledger_merge merge = { .worker = "w",
		.process = "p",
		.boot = boot,
		.seq = 1,
		.grants = &grant,
		.grants_len = 1,
		.rows = &row,
		.rows_len = 1,
		.member = &member,
		.note = STR("a note") };
	struct ledger_merged result;
	struct told told;
	struct error err;

	assert_true(ledger_merge_usage(rig->a, &merge, &result, &err));
	assert_int_equal(result.dealings, 1);
	assert_false(ledger_merge_usage(rig->b, &merge, &result, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	told = follow(rig->b);
	assert_string_equal(told.text, "[a merge=boot-1 with=w1]");
	assert_string_equal(told.note, "a note");
	assert_int_equal(told.granted, 7);
	assert_int_equal(told.dealings, 1);
	assert_true(ledger_merge_usage(rig->b, &merge, &result, &err));
	assert_false(result.added);
	assert_int_equal(result.dealings, 2);
	assert_true(
		ledger_put_member(rig->b, &member, &err) && ledger_delete_member(rig->b, "w1", NULL, &err));
	assert_string_equal(follow(rig->a).text, "[b merge=boot-1 with=w1][b member=w1][b forgotten=w1]");
}

/* Lives. */

struct lives {
	unsigned len;
	struct ledger_life last;
};

static bool take_life(void *arg, const struct ledger_life *life)
{
	struct lives *lives = arg;

	lives->len++;
	lives->last = *life;
	return true;
}

static struct lives begin(struct ledger *ledger, bool joins)
{
	struct lives lives = { 0 };
	struct error err;
	bool joined;

	if (!ledger_begin_life(ledger, take_life, &lives, &joined, &err))
		fail_msg("%s", err.text);
	assert_int_equal(joined, joins);
	return lives;
}

struct talker {
	struct ledger *ledger;
	atomic_bool stop;
};

/* Another leader: it tells its beats. */
static void *talk(void *arg)
{
	struct talker *talker = arg;

	while (!atomic_load(&talker->stop)) {
		assert_true(ledger_tell(talker->ledger, STR("beat"), NULL));
		(void)usleep(20000);
	}
	return NULL;
}

static void who_comes_to_others_joins_their_life(void **state)
{
	struct rig *rig = *state;
	struct talker talker = { .ledger = rig->a };
	struct lives first = begin(rig->a, false), second;
	pthread_t thread;
	struct error err;

	assert_int_equal(first.len, 1);
	assert_true(ledger_put_heard(rig->a, true, &err));
	assert_int_equal(pthread_create(&thread, NULL, talk, &talker), 0);
	second = begin(rig->b, true);
	atomic_store(&talker.stop, true);
	(void)pthread_join(thread, NULL);
	assert_int_equal(second.len, 1);
	assert_string_equal(second.last.id, first.last.id);
	assert_true(second.last.heard);
	assert_string_equal(follow(rig->a).text, "[b joins]");
	assert_string_equal(follow(rig->b).text, "[a joins][a begins heard=0][a life heard=1]");
	assert_true(ledger_put_heard(rig->b, false, &err));
}

static void who_comes_alone_begins_a_life(void **state)
{
	struct rig *rig = *state;
	struct lives first = begin(rig->a, false), second = begin(rig->b, false);
	struct told told;

	assert_int_equal(second.len, 2);
	assert_string_not_equal(second.last.id, first.last.id);
	told = follow(rig->a);
	assert_string_equal(told.text, "[b joins][b begins heard=0]");
	assert_string_equal(told.life.id, second.last.id);
}

static void *begin_beside(void *arg)
{
	struct lives lives = { 0 };
	bool joined = false;

	assert_true(ledger_begin_life(arg, take_life, &lives, &joined, NULL));
	return joined ? arg : NULL;
}

/* Nobody is there yet: one begins, and the other one joins it. */
static void of_two_that_come_at_once_one_begins(void **state)
{
	struct rig *rig = *state;
	pthread_t threads[2];
	void *joined[2];
	struct told told;

	assert_int_equal(pthread_create(&threads[0], NULL, begin_beside, rig->a), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, begin_beside, rig->b), 0);
	(void)pthread_join(threads[0], &joined[0]);
	(void)pthread_join(threads[1], &joined[1]);
	assert_int_equal((joined[0] != NULL) + (joined[1] != NULL), 1);
	told = follow(joined[0] ? rig->a : rig->b);
	assert_non_null(strstr(told.text, "begins"));
}

/* Words. */

struct words {
	char text[1000];
};

static void take_word(void *arg, const char *by, struct str word)
{
	struct words *words = arg;
	size_t len = strlen(words->text);

	(void)snprintf(words->text + len, sizeof(words->text) - len, "[%s %.*s]", by, STR_ARGS(word));
}

static struct words listen_once(struct ledger *ledger, int64_t wait_ms, bool *ret_more)
{
	struct words words = { "" };
	struct error err;

	if (!ledger_listen(ledger, wait_ms, take_word, &words, ret_more, &err))
		fail_msg("%s", err.text);
	return words;
}

static void words_come_behind_what_was_stored_before(void **state)
{
	struct rig *rig = *state;
	bool more;

	assert_true(ledger_tell(rig->a, STR("one"), NULL));
	assert_true(ledger_tell(rig->b, STR("own"), NULL));
	assert_string_equal(listen_once(rig->b, 5000, &more).text, "[a one]");
	assert_false(more);
	assert_int_equal(write_user(rig->a, "ann"), LEDGER_WRITTEN);
	assert_true(ledger_tell(rig->a, STR("two"), NULL));
	assert_string_equal(listen_once(rig->b, 5000, &more).text, "");
	assert_true(more);
	(void)follow(rig->b);
	assert_string_equal(listen_once(rig->b, 5000, &more).text, "[a two]");
	assert_false(more);
	assert_string_equal(listen_once(rig->b, 1, &more).text, "");
	assert_false(more);
}

static void *write_later(void *arg)
{
	(void)usleep(100000);
	assert_int_equal(write_user(arg, "ann"), LEDGER_WRITTEN);
	return NULL;
}

/* Beside a function that runs: a blocked ear disturbs nothing, and is woken. */
static void who_listens_is_woken_by_an_entry(void **state)
{
	struct rig *rig = *state;
	pthread_t thread;
	bool more = false;

	assert_int_equal(pthread_create(&thread, NULL, write_later, rig->a), 0);
	for (unsigned i = 0; !more && i < 10; i++)
		(void)listen_once(rig->b, 60000, &more);
	(void)pthread_join(thread, NULL);
	assert_true(more);
	assert_string_equal(follow(rig->b).text, "[a revision=1 ann]");
}

/* A Redis that lost something. */

static void run_shell(const char *format, ...) PRINTF(1, 2);
static void run_shell(const char *format, ...)
{
	char command[400];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(system(command), 0); /* NOLINT */
}

/* What Redis has now is what it will have again after go_back(). */
static void keep_for_later(const struct rig *rig)
{
	run_shell("mkdir -p %s.kept && cp -r %s/appendonlydir %s.kept", rig->server.folder,
		rig->server.folder, rig->server.folder);
}

static void go_back(struct rig *rig)
{
	redis_server_kill(&rig->server);
	run_shell("rm -rf %s/appendonlydir && mv %s.kept/appendonlydir %s && rmdir %s.kept",
		rig->server.folder, rig->server.folder, rig->server.folder, rig->server.folder);
	redis_server_start(&rig->server);
}

/* The first call may find the connection of before. */
static bool follow_when_back(struct ledger *ledger, struct told *told, struct error *err)
{
	bool ok = false;

	for (unsigned i = 0; !ok && i < 100; i++) {
		*told = (struct told){ 0 };
		ok = ledger_follow(ledger, take_entry, told, err);
		if (!ok && strstr(err->text, "went back"))
			return false;
		if (!ok)
			(void)usleep(50000);
	}
	return ok;
}

static void wait_for_patience(struct ledger *ledger, const char *name)
{
	uint64_t revision;
	enum ledger_result result = LEDGER_FAILED;

	for (unsigned i = 0; i < 400 && result == LEDGER_FAILED; i++) {
		result = put(ledger, make_user(name, true), false, 0, &revision);
		if (result == LEDGER_FAILED)
			(void)usleep(20000);
	}
	assert_int_equal(result, LEDGER_WRITTEN);
}

static void what_redis_lost_is_stored_again(void **state)
{
	struct rig *rig = *state;
	char key[] = "key";
	struct usage_row row = { .apikey = key, .day = "2026-11-20", .calls = 5 };
	struct ledger_merge merge = merge_of(0, 1, &row);
	struct ledger_key_day at = { "key", "2026-11-20" };
	struct ledger_calls calls;
	struct told told;
	struct error err;

	assert_int_equal(write_user(rig->a, "ann"), LEDGER_WRITTEN);
	keep_for_later(rig);
	assert_int_equal(write_user(rig->a, "bob"), LEDGER_WRITTEN);
	assert_true(merged(rig->a, &merge).added);
	(void)follow(rig->b);
	assert_int_equal(write_user(rig->b, "eve"), LEDGER_WRITTEN);
	go_back(rig);
	/* a has two of the three, b has all. */
	assert_true(follow_when_back(rig->a, &told, &err));
	assert_string_equal(told.text, "");
	assert_int_equal(write_user(rig->a, "too early"), LEDGER_FAILED);
	if (!follow_when_back(rig->b, &told, &err))
		fail_msg("%s", err.text);
	assert_string_equal(follow(rig->a).text, "[b revision=3 eve]");
	assert_int_equal(load(rig->b).count, 3);
	assert_true(ledger_calls(rig->b, &at, 1, &calls, &err));
	assert_int_equal(calls.all, 5);
	wait_for_patience(rig->a, "ida");
	assert_string_equal(follow(rig->b).text, "[a revision=4 ida]");
}

static void another_history_is_refused(void **state)
{
	struct rig *rig = *state;
	struct ledger_boot boot;
	struct told told;
	struct error err;

	assert_int_equal(write_user(rig->a, "ann"), LEDGER_WRITTEN);
	keep_for_later(rig);
	assert_int_equal(write_user(rig->a, "bob"), LEDGER_WRITTEN);
	go_back(rig);
	(void)follow_when_back(rig->b, &told, &err);
	assert_int_equal(write_user(rig->b, "eve"), LEDGER_WRITTEN);
	assert_false(follow_when_back(rig->a, &told, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "went back"));
	assert_int_equal(write_user(rig->a, "ida"), LEDGER_FAILED);
	assert_false(ledger_boot(rig->a, "b", &boot, &err));
	assert_non_null(strstr(err.text, "went back"));
	assert_int_equal(load(rig->b).count, 2);
}

static void run_command(const struct rig *rig, const char *first, const char *second, const char *third)
{
	AUTO(redis) *redis = NULL;
	AUTO(redis_call) *call = redis_call_new(first);
	AUTO(redis_reply) *reply = NULL;
	struct error err;

	if (second)
		redis_call_text(call, second);
	if (third)
		redis_call_text(call, third);
	if (!redis_new(&redis, rig->server.url, NULL, "test", &err) || !redis_run(redis, call, &reply, &err))
		fail_msg("%s", err.text);
}

static void an_emptied_redis_is_refused(void **state)
{
	struct rig *rig = *state;
	struct told told;
	struct error err;

	assert_int_equal(write_user(rig->a, "ann"), LEDGER_WRITTEN);
	run_command(rig, "FLUSHALL", NULL, NULL);
	assert_int_equal(write_user(rig->a, "bob"), LEDGER_BEHIND);
	assert_false(follow_when_back(rig->a, &told, &err));
	assert_non_null(strstr(err.text, "nothing is there"));
}

static void a_redis_that_takes_no_writes_says_why(void **state)
{
	struct rig *rig = *state;
	AUTO(entity) *user = make_user("ann", true);
	struct ledger_change change = { .entity = user };
	uint64_t revision;
	struct error err;
	size_t at;

	run_command(rig, "REPLICAOF", "127.0.0.1", "1");
	assert_int_equal(ledger_write(rig->a, &change, 1, some_digest, &revision, &at, &err), LEDGER_FAILED);
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "replica"));
	run_command(rig, "REPLICAOF", "NO", "ONE");
	assert_int_equal(write_user(rig->a, "ann"), LEDGER_WRITTEN);
}

static void run_config(const struct rig *rig, const char *name, const char *value)
{
	AUTO(redis) *redis = NULL;
	AUTO(redis_call) *call = redis_call_new("CONFIG");
	AUTO(redis_reply) *reply = NULL;

	redis_call_text(call, "SET");
	redis_call_text(call, name);
	redis_call_text(call, value);
	assert_true(redis_new(&redis, rig->server.url, NULL, "test", NULL) &&
		    redis_run(redis, call, &reply, NULL));
}

/* Nothing of an entry is stored then. */
static void a_full_redis_says_so(void **state)
{
	struct rig *rig = *state;
	AUTO(entity) *user = make_user("ann", true);
	struct ledger_change change = { .entity = user };
	uint64_t revision;
	struct error err;
	size_t at;

	run_config(rig, "maxmemory", "1");
	assert_int_equal(ledger_write(rig->a, &change, 1, some_digest, &revision, &at, &err), LEDGER_FAILED);
	assert_int_equal(err.kind, ERROR_FULL);
	assert_non_null(strstr(err.text, "maxmemory"));
	assert_int_equal(load(rig->b).count, 0);
	run_config(rig, "maxmemory", "0");
	assert_int_equal(write_user(rig->a, "ann"), LEDGER_WRITTEN);
	assert_int_equal(load(rig->b).count, 1);
}

static void a_redis_that_throws_away_is_refused(void **state)
{
	struct rig *rig = *state;
	const struct ledger_redis_settings settings = {
		.url = rig->server.url, .prefix = "zot", .leader = "c"
	};
	struct ledger *ledger;
	struct error err;

	run_config(rig, "maxmemory", "100mb");
	run_config(rig, "maxmemory-policy", "allkeys-lru");
	assert_false(ledger_open_redis(&ledger, &settings, &err));
	assert_non_null(strstr(err.text, "noeviction"));
}

/* The server stands still: the command was sent, and its answer comes too late. */
static void an_answer_that_was_lost_is_followed(void **state)
{
	struct rig *rig = *state;
	AUTO(entity) *user = make_user("ann", true);
	struct ledger_change change = { .entity = user };
	uint64_t revision;
	struct told told;
	struct error err;
	size_t at;

	assert_int_equal(write_user(rig->a, "bob"), LEDGER_WRITTEN);
	(void)kill(rig->server.pid, SIGSTOP);
	assert_int_equal(ledger_write(rig->a, &change, 1, some_digest, &revision, &at, &err), LEDGER_FAILED);
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "outcome is unknown"));
	assert_string_equal(err.code, LEDGER_OUTCOME_UNKNOWN);
	(void)kill(rig->server.pid, SIGCONT);
	assert_true(follow_when_back(rig->a, &told, &err));
	assert_int_equal(told.entries, 1);
	assert_string_equal(told.text, "[a revision=2 ann]");
	assert_int_equal(load(rig->b).count, 2);
}

/* A leader that stood still while the others stored more than the log keeps. */
static void who_falls_off_the_log_says_so(void **state)
{
	struct rig *rig = *state;
	struct told told = { 0 };
	struct error err;

	(void)follow(rig->b);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(write_user(rig->a, i ? i == 1 ? "bob" : "eve" : "ann"), LEDGER_WRITTEN);
	assert_false(ledger_shared(rig->b).behind);
	run_shell("redis-cli -s %s XTRIM '{zot}:log' MAXLEN 1 > /dev/null", rig->server.socket);
	assert_false(ledger_follow(rig->b, take_entry, &told, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_int_equal(told.entries, 0);
	assert_true(ledger_shared(rig->b).behind);
	assert_false(ledger_shared(rig->b).lost);
	ledger_close(rig->b);
	rig->b = open_as(&rig->server, "b");
	assert_int_equal(load(rig->b).count, 3);
	assert_int_equal(write_user(rig->b, "joe"), LEDGER_WRITTEN);
}

/* Moving. */

static void fill_all(struct ledger *ledger)
{
	char boot[] = "boot-1", over[] = "boot-2", key[] = "key-12345", name[] = "w1",
	     repository[] = "library/a";
	struct ledger_grant grant = {
		.boot = boot, .apikey = key, .day = "2999-01-01", .granted = 7, .used = 2
	};
	struct ledger_member member = { .name = name,
		.process = boot,
		.url = name,
		.zone = name,
		.version = name,
		.state = name,
		.boot = boot,
		.revision = 3,
		.seen_wall_s = 44 };
	struct usage_row row = { .apikey = key, .day = "2999-01-01", .calls = 5, .ungranted = 1 };
	struct usage_repository pulled = { .name = repository, .pulls = 3 };
	struct ledger_merge merge = { .worker = "w",
		.process = "p",
		.boot = boot,
		.seq = 1,
		.grants = &grant,
		.grants_len = 1,
		.rows = &row,
		.rows_len = 1,
		.repositories = &pulled,
		.repositories_len = 1,
		.member = &member };
	struct apikey body = { .owner = "ann",
		.label = "of ci",
		.secret_hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };
	struct ledger_audit audit = { .user = "root",
		.apikey = "",
		.from = "192.0.2.1",
		.kind = "user",
		.id = "ann",
		.how = "made",
		.detail = "{}",
		.at_ms = 5,
		.count = 1 };
	uint64_t revision;

	(void)begin(ledger, false);
	assert_int_equal(write_user(ledger, "ann"), LEDGER_WRITTEN);
	assert_int_equal(put(ledger, entity_new(ENTITY_APIKEY, str_of(key), 0, &body), false, 0, &revision),
		LEDGER_WRITTEN);
	assert_int_equal(put(ledger, entity_new_deleted(ENTITY_USER, STR("ann"), 0), false, 0, &revision),
		LEDGER_WRITTEN);
	(void)merged(ledger, &merge);
	grant.boot = over;
	merge.boot = over;
	merge.finished = merge.gone = true;
	(void)merged(ledger, &merge);
	assert_true(ledger_put_audit(ledger, &audit, 1, NULL));
	audit.refused = true;
	assert_true(ledger_put_audit(ledger, &audit, 1, NULL));
	assert_true(ledger_put_heard(ledger, true, NULL));
}

static bool see_usage(void *arg, const struct ledger_usage *usage)
{
	add_told(arg, "[%s %s %s %s %" PRIu64 " %" PRIu64 "]", usage->id, usage->owner, usage->label,
		usage->window, usage->calls + usage->pulls, usage->ungranted);
	return true;
}

static bool see_audit(void *arg, const struct ledger_audit *row)
{
	add_told(arg, "[%" PRIu64 " %s %s %d]", row->number, row->user, row->detail, row->refused);
	return true;
}

/* All of it, as a text. */
static struct told describe(struct ledger *ledger)
{
	const struct ledger_keys any = { 0 };
	const struct ledger_audit_ask ask = { .oldest_first = true };
	struct seen seen = load(ledger);
	struct sums sums = sums_of(ledger);
	struct told told = { 0 };

	add_told(&told, "%u %u %" PRIu64 " %s", seen.count, seen.deleted, seen.loaded.revision,
		seen.loaded.history.cluster);
	add_told(&told, " grants %" PRIu64 " %" PRIu64 " %" PRIu64, sums.granted, sums.used, sums.rows);
	add_told(&told, " boot %" PRIu64 " %d", boot_of(ledger, "boot-1").seq,
		boot_of(ledger, "boot-2").finished);
	add_told(&told, " pairs %zu", pairs_of(ledger).len);
	assert_true(ledger_list_keys(ledger, &any, 100, see_usage, &told, NULL));
	assert_true(ledger_list_repositories(ledger, NULL, 100, see_usage, &told, NULL));
	assert_true(ledger_list_audit(ledger, &ask, 100, see_audit, &told, NULL));
	return told;
}

static void a_ledger_moves_to_redis_and_back(void **state)
{
	struct rig *rig = *state;
	const struct ledger_redis_settings settings = {
		.url = rig->server.url, .prefix = "moved", .leader = "m"
	};
	struct ledger *ledger;
	struct ledger_moved moved;
	struct told first, second, third;
	char from[100], back[100];
	struct error err;

	(void)snprintf(from, sizeof(from), "%s/from", rig->server.folder);
	(void)snprintf(back, sizeof(back), "%s/back", rig->server.folder);
	assert_true(ledger_open_sqlite(&ledger, from, &err));
	fill_all(ledger);
	first = describe(ledger);
	assert_non_null(strstr(first.text, "[key-12345 ann of ci 2999-01 10 "));
	ledger_close(ledger);
	if (!ledger_move_to_redis(from, &settings, false, &moved, &err))
		fail_msg("%s", err.text);
	assert_true(ledger_open_redis(&ledger, &settings, &err));
	second = describe(ledger);
	assert_string_equal(first.text, second.text);
	assert_int_equal(begin(ledger, false).len, 2);
	assert_int_equal(write_user(ledger, "eve"), LEDGER_WRITTEN);
	second = describe(ledger);
	ledger_close(ledger);
	assert_false(ledger_move_to_redis(from, &settings, false, &moved, &err));
	assert_non_null(strstr(err.text, "--replace"));
	if (!ledger_move_from_redis(&settings, back, false, &moved, &err))
		fail_msg("%s", err.text);
	assert_true(ledger_open_sqlite(&ledger, back, &err));
	third = describe(ledger);
	assert_string_equal(second.text, third.text);
	assert_int_equal(begin(ledger, false).len, 3);
	ledger_close(ledger);
	assert_false(ledger_move_from_redis(&settings, back, false, &moved, &err));
	assert_true(ledger_move_from_redis(&settings, back, true, &moved, &err));
	assert_int_equal(access(moved.aside, F_OK), 0);
}

static void who_uses_a_ledger_is_not_moved_away(void **state)
{
	struct rig *rig = *state;
	const struct ledger_redis_settings settings = {
		.url = rig->server.url, .prefix = "zot", .leader = "m"
	};
	struct talker talker = { .ledger = rig->a };
	struct ledger_moved moved;
	char back[100];
	pthread_t thread;
	struct error err;

	assert_int_equal(write_user(rig->a, "ann"), LEDGER_WRITTEN);
	(void)snprintf(back, sizeof(back), "%s/back", rig->server.folder);
	assert_int_equal(pthread_create(&thread, NULL, talk, &talker), 0);
	assert_false(ledger_move_from_redis(&settings, back, false, &moved, &err));
	atomic_store(&talker.stop, true);
	(void)pthread_join(thread, NULL);
	assert_non_null(strstr(err.text, "stop all of them"));
}

/* Steps, and another leader writes between them: the file is of the moment of the last one. */
static void a_copy_of_redis_is_of_one_moment(void **state)
{
	struct rig *rig = *state;
	AUTO(ledger_copy) *copy = NULL;
	struct ledger_loaded loaded;
	struct ledger *ledger;
	char path[130], folder[100], name[16];
	bool more = true;
	unsigned steps = 0;
	struct error err;

	(void)snprintf(folder, sizeof(folder), "%s/copied", rig->server.folder);
	(void)snprintf(path, sizeof(path), "%s/leader.db", folder);
	run_shell("mkdir %s", folder);
	fill_all(rig->a);
	assert_true(ledger_copy_new(&copy, rig->a, path, &err));
	for (; more; steps++) {
		if (!ledger_copy_step(copy, &more, &err))
			fail_msg("%s", err.text);
		(void)snprintf(name, sizeof(name), "user-%u", steps);
		if (more)
			assert_int_equal(write_user(rig->a, name), LEDGER_WRITTEN);
	}
	assert_true(steps > 5);
	if (!ledger_copy_end(copy, &loaded, &err))
		fail_msg("%s", err.text);
	assert_int_equal(loaded.revision, 3 + steps - 1);
	assert_true(ledger_open_sqlite(&ledger, folder, &err));
	struct told copied = describe(ledger), present = describe(rig->a);
	assert_string_equal(copied.text, present.text);
	ledger_close(ledger);
}

static void a_backup_is_restored_into_redis(void **state)
{
	struct rig *rig = *state;
	const struct ledger_redis_settings settings = {
		.url = rig->server.url, .prefix = "zot", .leader = "m"
	};
	AUTO(ledger_copy) *copy = NULL;
	struct ledger_loaded loaded;
	struct ledger_restored restored;
	struct told told;
	char path[100];
	bool more = true;
	struct error err;

	(void)snprintf(path, sizeof(path), "%s/backup", rig->server.folder);
	assert_int_equal(write_user(rig->a, "ann"), LEDGER_WRITTEN);
	assert_true(ledger_copy_new(&copy, rig->a, path, &err));
	while (more)
		assert_true(ledger_copy_step(copy, &more, &err));
	assert_true(ledger_copy_end(copy, &loaded, &err));
	assert_int_equal(write_user(rig->a, "eve"), LEDGER_WRITTEN);
	if (!ledger_restore_redis(&settings, rig->server.folder, path, NULL, &restored, &err))
		fail_msg("%s", err.text);
	assert_true(restored.loaded.history.generation > loaded.history.generation);
	assert_int_equal(access(restored.aside, F_OK), 0);
	/* Who was there before is of another history. */
	assert_false(follow_when_back(rig->a, &told, &err));
	ledger_close(rig->b);
	rig->b = open_as(&rig->server, "b");
	struct seen seen = load(rig->b);
	assert_int_equal(seen.count, 1);
	assert_true(history_same(&seen.loaded.history, &restored.loaded.history));
	assert_int_equal(write_user(rig->b, "ida"), LEDGER_WRITTEN);
}

static bool count_usage(void *arg, const struct ledger_usage *usage)
{
	(void)usage;
	++*(unsigned *)arg;
	return true;
}

static unsigned count_windows(struct ledger *ledger)
{
	const struct ledger_keys any = { 0 };
	unsigned count = 0;

	assert_true(ledger_list_keys(ledger, &any, 100, count_usage, &count, NULL));
	return count;
}

static void what_is_too_old_goes_at_the_start(void **state)
{
	struct rig *rig = *state;
	char key[] = "key", boot[] = "b";
	struct usage_row rows[] = { { .apikey = key, .day = "2001-01-01", .calls = 5 },
		{ .apikey = key, .day = "2999-01-01", .calls = 5 } };
	struct ledger_grant grant = { .boot = boot, .apikey = key, .day = "2001-01-01", .granted = 1 };
	struct ledger_merge merge = merge_of(0, 1, rows);

	merge.rows_len = 2;
	merge.grants = &grant;
	merge.grants_len = 1;
	(void)merged(rig->a, &merge);
	assert_int_equal(count_windows(rig->a), 4);
	ledger_close(rig->b);
	rig->b = open_as(&rig->server, "b");
	assert_int_equal(count_windows(rig->b), 2);
	assert_int_equal(sums_of(rig->b).rows, 0);
	assert_int_equal(boot_of(rig->b, "b").seq, 1);
}

static uint64_t has_name(const struct rig *rig, const char *key)
{
	AUTO(redis) *redis = NULL;
	AUTO(redis_call) *call = redis_call_new("HEXISTS");
	AUTO(redis_reply) *reply = NULL;

	redis_call_text(call, "{zot}:names");
	redis_call_text(call, key);
	assert_true(redis_new(&redis, rig->server.url, NULL, "test", NULL) &&
		    redis_run(redis, call, &reply, NULL));
	return redis_reply_number(reply);
}

static void put_key(struct ledger *ledger, const char *id, bool deleted)
{
	struct apikey key;
	uint64_t revision;

	table_defaults(entity_table(ENTITY_APIKEY), &key);
	key.owner = "ann";
	key.label = "a label";
	key.secret_hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	assert_int_equal(put(ledger,
				 deleted ? entity_new_deleted(ENTITY_APIKEY, str_of(id), 0)
					 : entity_new(ENTITY_APIKEY, str_of(id), 0, &key),
				 false, 0, &revision),
		LEDGER_WRITTEN);
}

/* As with SQLite: whose key it was is known as long as something is counted of it. */
static void names_of_keys_that_are_gone_go(void **state)
{
	struct rig *rig = *state;
	char counted[] = "key-counted";
	struct usage_row row = { .apikey = counted, .day = "2999-01-01", .calls = 5 };
	struct ledger_merge merge = merge_of(0, 1, &row);

	put_key(rig->a, "key-stays", false);
	put_key(rig->a, "key-goes", false);
	put_key(rig->a, "key-counted", false);
	put_key(rig->a, "key-goes", true);
	put_key(rig->a, "key-counted", true);
	assert_int_equal(has_name(rig, "key-goes"), 1);
	(void)merged(rig->a, &merge);
	assert_int_equal(has_name(rig, "key-goes"), 0);
	assert_int_equal(has_name(rig, "key-counted"), 1);
	assert_int_equal(has_name(rig, "key-stays"), 1);
	/* It is an entry, so the other one follows, and may go on. */
	(void)follow(rig->b);
	put_key(rig->b, "key-goes", false);
	assert_int_equal(has_name(rig, "key-goes"), 1);
	/* The day's round has ended. */
	put_key(rig->b, "key-goes", true);
	(void)follow(rig->a);
	merge = merge_of(1, 2, &row);
	(void)merged(rig->a, &merge);
	assert_int_equal(has_name(rig, "key-goes"), 1);
}

/* Redis is empty, and a leader still has it all. */
static void what_a_leader_has_is_rescued(void **state)
{
	struct rig *rig = *state;
	AUTO(state) *none = state_new();
	AUTO(state) *has = NULL;
	struct entity *user = entity_with_revision_of("ann", 1);
	char boot[] = "b", key[] = "key", name[] = "w1";
	struct ledger_grant grant = {
		.boot = boot, .apikey = key, .day = "2999-01-01", .granted = 7, .used = 2
	};
	struct ledger_member member = { .name = name };
	struct ledger_rescue rescue = {
		.members = &member, .members_len = 1, .grants = &grant, .grants_len = 1
	};
	struct history before = load(rig->a).loaded.history;
	struct ledger_loaded loaded;
	struct told told;
	struct error err;

	assert_int_equal(write_user(rig->a, "ann"), LEDGER_WRITTEN);
	(void)follow(rig->b);
	rescue.state = has = state_change(none, &user, 1, 1);
	entity_free(user);
	run_command(rig, "FLUSHALL", NULL, NULL);
	assert_false(follow_when_back(rig->a, &told, &err));
	if (!ledger_rescue(rig->a, &rescue, &loaded, &err))
		fail_msg("%s", err.text);
	assert_string_equal(loaded.history.cluster, before.cluster);
	assert_true(loaded.history.generation > before.generation);
	assert_int_equal(begin(rig->a, false).len, 1);
	assert_int_equal(write_user(rig->a, "bob"), LEDGER_WRITTEN);
	assert_false(follow_when_back(rig->b, &told, &err));
	ledger_close(rig->b);
	rig->b = open_as(&rig->server, "b");
	struct seen seen = load(rig->b);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.loaded.revision, 2);
	assert_true(history_same(&seen.loaded.history, &loaded.history));
	assert_int_equal(sums_of(rig->b).granted, 7);
	assert_int_equal(pairs_of(rig->b).len, 2);
}

/* ---- large writes ---- */

static bool follows_behind(struct ledger *ledger, bool settled, struct told *told)
{
	struct error err;
	bool more = true;

	*told = follow(ledger);
	while (settled && more)
		if (!ledger_settle(ledger, &more, &err))
			fail_msg("%s", err.text);
	return ledger_is_settled(ledger);
}

/* Its pieces are told as they come, its entities when they count; who settles it is any leader. */
static void a_large_write_is_followed(void **state)
{
	struct rig *rig = *state;
	struct told told;
	struct error err;

	stage(rig->a, "u", 130, 1001, true);
	told = follow(rig->b);
	assert_int_equal(told.entries, 3);
	assert_null(strstr(told.text, "u0000"));
	assert_int_equal(write_user(rig->b, "bob"), LEDGER_WRITTEN);
	assert_int_equal(ledger_stage_publish(rig->a, 1001, some_digest, &err), LEDGER_BEHIND);
	(void)follow(rig->a);
	assert_int_equal(ledger_stage_publish(rig->a, 1001, some_digest, &err), LEDGER_WRITTEN);
	assert_false(follows_behind(rig->b, false, &told));
	assert_non_null(strstr(told.text, "revision=1001 u0000 u0001 "));
	assert_non_null(strstr(told.text, " u0129"));
	assert_memory_equal(told.digest, some_digest, sizeof(some_digest));
	assert_true(follows_behind(rig->b, true, &told));
	/* What is settled is nothing new. */
	assert_true(follows_behind(rig->a, false, &told));
	assert_null(strstr(told.text, "revision="));
	assert_int_equal(write_user(rig->a, "u0000"), LEDGER_WRITTEN);
	assert_int_equal(load(rig->b).count, 131);
	assert_int_equal(load(rig->b).loaded.revision, 1002);
}

/* Who came in the middle reads the pieces that it did not see; who comes while it is not settled has it at once. */
static void who_comes_to_a_large_write_has_all_of_it(void **state)
{
	struct rig *rig = *state;
	struct ledger *late, *later;
	struct told told;
	struct error err;
	bool more;

	assert_true(ledger_stage_begin(rig->a, &err));
	put_aside(rig->a, "first", 200, 1001, false);
	late = open_as(&rig->server, "late");
	assert_int_equal(load(late).count, 0);
	put_aside(rig->a, "second", 100, 1001, false);
	assert_int_equal(ledger_stage_publish(rig->a, 1001, some_digest, &err), LEDGER_WRITTEN);
	told = follow(late);
	assert_non_null(strstr(told.text, "revision=1001 first0000 "));
	assert_true(ledger_settle(rig->a, &more, &err) && more);
	later = open_as(&rig->server, "later");
	assert_int_equal(load(later).count, 300);
	assert_false(ledger_is_settled(later));
	assert_true(follows_behind(late, true, &told));
	assert_true(follows_behind(later, false, &told));
	assert_true(follows_behind(rig->a, false, &told));
	assert_int_equal(load(later).count, 300);
	ledger_close(late);
	ledger_close(later);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_is_behind_follows_and_tries_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
			reports_are_told_with_their_grants_and_notes, setup, teardown),
		cmocka_unit_test_setup_teardown(who_comes_to_others_joins_their_life, setup, teardown),
		cmocka_unit_test_setup_teardown(who_comes_alone_begins_a_life, setup, teardown),
		cmocka_unit_test_setup_teardown(of_two_that_come_at_once_one_begins, setup, teardown),
		cmocka_unit_test_setup_teardown(words_come_behind_what_was_stored_before, setup, teardown),
		cmocka_unit_test_setup_teardown(who_listens_is_woken_by_an_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(what_redis_lost_is_stored_again, setup, teardown),
		cmocka_unit_test_setup_teardown(another_history_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(an_emptied_redis_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_redis_that_takes_no_writes_says_why, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_redis_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(a_redis_that_throws_away_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_that_was_lost_is_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(who_falls_off_the_log_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(a_ledger_moves_to_redis_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(who_uses_a_ledger_is_not_moved_away, setup, teardown),
		cmocka_unit_test_setup_teardown(a_copy_of_redis_is_of_one_moment, setup, teardown),
		cmocka_unit_test_setup_teardown(a_backup_is_restored_into_redis, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_too_old_goes_at_the_start, setup, teardown),
		cmocka_unit_test_setup_teardown(names_of_keys_that_are_gone_go, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_leader_has_is_rescued, setup, teardown),
		cmocka_unit_test_setup_teardown(a_large_write_is_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(who_comes_to_a_large_write_has_all_of_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
