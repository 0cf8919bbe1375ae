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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
