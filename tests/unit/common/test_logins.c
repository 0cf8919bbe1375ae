/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_logins - one verification for all who ask the same, renewals, bounds, failures, turns.
 *
 * The pool has a thread that a gate can hold, so that what is asked meanwhile is queued; the clock is the
 * test's.
 */
#include "common/logins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/loop.h"
#include "common/password.h"
#include "common/pool.h"

#define KEPT_MS 60000
#define COST    4

static struct loop *loop;
static struct pool *pool;
static struct logins *logins;
static _Atomic int64_t now_ms;
/* Of the password "right", bcrypt of cost 4. */
static const char *const hash = "$2b$04$CwTycUXWue0Thq9StjUM0uZoY1cT1ubejGT6IK5mYMfwPxXhCdS96";

static int64_t test_clock(void)
{
	return now_ms;
}

static int setup(void **state)
{
	struct logins_settings settings = { .kept_ms = KEPT_MS, .least_cost = COST, .clock_ms = test_clock };
	struct error err;

	(void)state;
	now_ms = 1000000;
	assert_true(loop_new(&loop, "test", &err) && pool_new(&pool, 1, 10, &err));
	settings.pool = pool;
	logins = logins_new(&settings);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pool_free(pool);
	loop_turn(loop, 0);
	logins_free(logins);
	loop_free(loop);
	return 0;
}

/* The gate: the pool's one thread waits at it, so nothing is verified. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed, reached;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void at_gate(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&gate.lock);
	gate.reached = true;
	pthread_cond_broadcast(&gate.changed);
	while (gate.closed)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void close_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = true;
	gate.reached = false;
	pool_push(pool, at_gate, NULL);
	while (!gate.reached)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void open_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = false;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

/* Clients. */

static struct logins_ask ask_of(const char *user, const char *password, const char *address)
{
	struct logins_ask ask = { .user = str_of(user), .password = str_of(password), .hash = str_of(hash) };

	assert_true(ip_parse(str_of(address), &ask.client));
	return ask;
}

struct client {
	enum logins_answer answer;
	unsigned retry_after_s;
	unsigned place; /* in the order of answers, from 1 */
	struct logins_wait *wait;
};
static unsigned answered;

static void on_answer(void *arg, enum logins_answer answer, unsigned retry_after_s)
{
	struct client *client = arg;

	assert_int_equal(client->place, 0);
	client->answer = answer;
	client->retry_after_s = retry_after_s;
	client->place = ++answered;
}

static void start(struct client *client, const struct logins_ask *ask)
{
	*client = (struct client){ 0 };
	client->wait = logins_start(logins, ask, loop, on_answer, client);
}

static void await_answers(unsigned n)
{
	while (answered < n)
		loop_turn(loop, 1000);
	assert_int_equal(answered, n);
	answered = 0;
}

static struct client ask_now(const struct logins_ask *ask)
{
	struct client client;

	start(&client, ask);
	await_answers(1);
	return client;
}

static enum logins_answer login(const char *user, const char *password, const char *address)
{
	struct logins_ask ask = ask_of(user, password, address);
	enum logins_answer answer = logins_look(logins, &ask);

	return answer == LOGINS_UNKNOWN ? ask_now(&ask).answer : answer;
}

static void await_verified(uint64_t n)
{
	while (logins_stats(logins).verified < n)
		sched_yield();
	assert_int_equal(logins_stats(logins).verified, n);
}

/* Remembered. */

static void a_right_password_is_remembered_and_then_not(void **state)
{
	struct logins_ask ask = ask_of("ann", "right", "192.0.2.1");

	(void)state;
	assert_int_equal(logins_look(logins, &ask), LOGINS_UNKNOWN);
	assert_int_equal(ask_now(&ask).answer, LOGINS_RIGHT);
	assert_int_equal(logins_look(logins, &ask), LOGINS_RIGHT);
	assert_int_equal(ask_now(&ask).answer, LOGINS_RIGHT);
	now_ms += KEPT_MS;
	assert_int_equal(logins_look(logins, &ask), LOGINS_UNKNOWN);
	assert_int_equal(logins_stats(logins).verified, 1);
	assert_int_equal(ask_now(&ask).answer, LOGINS_RIGHT);
	assert_int_equal(logins_stats(logins).verified, 2);
}

static void only_the_same_three_are_remembered(void **state)
{
	struct logins_ask ask = ask_of("ann", "right", "192.0.2.1"), other;

	(void)state;
	assert_int_equal(ask_now(&ask).answer, LOGINS_RIGHT);
	other = ask;
	other.hash = STR("$2b$04$CwTycUXWue0Thq9StjUM0uZoY1cT1ubejGT6IK5mYMfwPxXhCdS9.");
	assert_int_equal(logins_look(logins, &other), LOGINS_UNKNOWN);
	other = ask_of("annr", "ight", "192.0.2.1");
	assert_int_equal(logins_look(logins, &other), LOGINS_UNKNOWN);
	other = ask;
	other.hash = STR_NONE;
	assert_int_equal(logins_look(logins, &other), LOGINS_UNKNOWN);
	other = ask_of("ann", "right", "192.0.2.99");
	assert_int_equal(logins_look(logins, &other), LOGINS_RIGHT);
}

static void a_wrong_one_is_remembered_for_some_seconds(void **state)
{
	struct logins_ask ask = ask_of("ann", "wrong", "192.0.2.1");

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(ask_now(&ask).answer, LOGINS_WRONG);
		assert_int_equal(logins_look(logins, &ask), LOGINS_WRONG);
		assert_int_equal(logins_stats(logins).verified, 1);
	}
	ask.hash = STR_NONE; /* the account is gone */
	assert_int_equal(logins_look(logins, &ask), LOGINS_UNKNOWN);
	ask.hash = str_of(hash);
	now_ms += LOGINS_WRONG_MS;
	assert_int_equal(logins_look(logins, &ask), LOGINS_UNKNOWN);
}

static void nobody_is_remembered_as_wrong_like_everybody(void **state)
{
	struct logins_ask ask = ask_of("nobody", "right", "192.0.2.1");

	(void)state;
	ask.hash = STR_NONE;
	assert_int_equal(ask_now(&ask).answer, LOGINS_WRONG);
	assert_int_equal(logins_look(logins, &ask), LOGINS_WRONG);
	assert_int_equal(logins_stats(logins).verified, 1);
	ask.hash = str_of(hash); /* the account was made */
	assert_int_equal(ask_now(&ask).answer, LOGINS_RIGHT);
}

static void one_in_use_is_renewed_before_its_time_is_over(void **state)
{
	struct logins_ask ask = ask_of("ann", "right", "192.0.2.1");

	(void)state;
	assert_int_equal(ask_now(&ask).answer, LOGINS_RIGHT);
	for (unsigned n = 1; n <= 5; n++) {
		now_ms += KEPT_MS / 2;
		assert_int_equal(logins_look(logins, &ask), LOGINS_RIGHT);
		assert_int_equal(logins_stats(logins).renewed, n - 1);
		now_ms += KEPT_MS / 4;
		close_gate();
		for (unsigned i = 0; i < 20; i++)
			assert_int_equal(logins_look(logins, &ask), LOGINS_RIGHT);
		assert_int_equal(logins_stats(logins).renewed, n);
		open_gate();
		await_verified(1 + n);
	}
}

/* Its time is over while its renewal still waits: then who comes waits for that one. */
static void a_late_renewal_is_waited_for(void **state)
{
	struct logins_ask ask = ask_of("ann", "right", "192.0.2.1");
	struct client client;

	(void)state;
	assert_int_equal(ask_now(&ask).answer, LOGINS_RIGHT);
	close_gate();
	now_ms += KEPT_MS - 1;
	assert_int_equal(logins_look(logins, &ask), LOGINS_RIGHT);
	now_ms++;
	start(&client, &ask);
	open_gate();
	await_answers(1);
	assert_int_equal(client.answer, LOGINS_RIGHT);
	assert_int_equal(logins_stats(logins).verified, 2);
}

/* One for all. */

static void equal_logins_share_a_verification(void **state)
{
	struct logins_ask right = ask_of("ann", "right", "192.0.2.1");
	struct logins_ask wrong = ask_of("ann", "wrong", "192.0.2.2");
	struct client clients[200];

	(void)state;
	close_gate();
	for (unsigned i = 0; i < 200; i++)
		start(&clients[i], i % 2 ? &right : &wrong);
	assert_int_equal(logins_stats(logins).waiting, 2);
	open_gate();
	await_answers(200);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(clients[i].answer, i % 2 ? LOGINS_RIGHT : LOGINS_WRONG);
	assert_int_equal(logins_stats(logins).verified, 2);
	assert_int_equal(logins_stats(logins).shared, 198);
}

static void who_gives_up_takes_the_work_along(void **state)
{
	struct logins_ask ask[2] = { ask_of("ann", "right", "192.0.2.1"),
		ask_of("bob", "right", "192.0.2.1") };
	struct client clients[4];

	(void)state;
	close_gate();
	for (unsigned i = 0; i < 4; i++)
		start(&clients[i], &ask[i % 2]);
	logins_cancel(clients[0].wait);
	logins_cancel(clients[2].wait);
	assert_int_equal(logins_stats(logins).waiting, 1);
	logins_cancel(clients[3].wait);
	assert_int_equal(logins_stats(logins).waiting, 1);
	open_gate();
	await_answers(1);
	assert_int_equal(clients[1].answer, LOGINS_RIGHT);
	assert_int_equal(logins_stats(logins).verified, 1);
}

/* The answer is on its way to the loop already. */
static void who_gives_up_late_is_not_called(void **state)
{
	struct logins_ask ask = ask_of("ann", "right", "192.0.2.1");
	struct client client;

	(void)state;
	start(&client, &ask);
	await_verified(1);
	logins_cancel(client.wait);
	loop_turn(loop, 0);
	assert_int_equal(client.place, 0);
	assert_int_equal(answered, 0);
}

/* Turns and bounds. */

static void a_stranger_does_not_wait_for_another_addresss_many(void **state)
{
	struct client many[100], one;
	struct logins_ask ask = ask_of("bob", "right", "192.0.2.9");
	char name[16];

	(void)state;
	close_gate();
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "user%u", i);
		struct logins_ask guess = ask_of(name, "right", "192.0.2.1");
		start(&many[i], &guess);
	}
	start(&one, &ask);
	open_gate();
	await_answers(101);
	assert_int_equal(one.answer, LOGINS_RIGHT);
	assert_true(one.place <= 2);
	assert_int_equal(many[99].place, 101);
}

static void those_that_were_right_before_go_first(void **state)
{
	struct logins_ask ask = ask_of("ann", "right", "192.0.2.1");
	struct client many[50], one;
	char address[32];

	(void)state;
	assert_int_equal(ask_now(&ask).answer, LOGINS_RIGHT);
	now_ms += 100 * KEPT_MS;
	close_gate();
	for (unsigned i = 0; i < 50; i++) {
		(void)snprintf(address, sizeof(address), "198.51.100.%u", i);
		struct logins_ask guess = ask_of("ann", "guess", address);
		guess.password = str_of(address);
		start(&many[i], &guess);
	}
	start(&one, &ask);
	open_gate();
	await_answers(51);
	assert_int_equal(one.place, 1);
}

static void an_address_has_a_share_of_the_queue(void **state)
{
	struct client many[LOGINS_ADDRESS_MAX + 50], other;
	struct logins_ask ask = ask_of("bob", "right", "2001:db8:0:2::1");
	char name[16], address[64];
	unsigned later = 0;

	(void)state;
	close_gate();
	for (unsigned i = 0; i < LOGINS_ADDRESS_MAX + 50; i++) {
		(void)snprintf(name, sizeof(name), "user%u", i);
		(void)snprintf(address, sizeof(address), "2001:db8:0:1::%x", i + 1); /* one /64 */
		struct logins_ask guess = ask_of(name, "right", address);
		start(&many[i], &guess);
	}
	start(&other, &ask);
	assert_int_equal(logins_stats(logins).waiting, LOGINS_ADDRESS_MAX + 1);
	open_gate();
	await_answers(LOGINS_ADDRESS_MAX + 51);
	for (unsigned i = 0; i < LOGINS_ADDRESS_MAX + 50; i++) {
		later += many[i].answer == LOGINS_LATER;
		assert_true(many[i].answer != LOGINS_LATER || many[i].retry_after_s >= 1);
	}
	assert_int_equal(later, 50);
	assert_int_equal(logins_stats(logins).limited, 50);
	assert_int_equal(other.answer, LOGINS_RIGHT);
}

static void the_queue_of_strangers_is_bounded_and_keeps_nobody_else_out(void **state)
{
	struct logins_ask known = ask_of("ann", "right", "192.0.2.1");
	struct client *many = xnew_array(struct client, LOGINS_QUEUE_MAX + 10), one;
	char address[64];

	(void)state;
	assert_int_equal(ask_now(&known).answer, LOGINS_RIGHT);
	now_ms += KEPT_MS;
	close_gate();
	for (unsigned i = 0; i < LOGINS_QUEUE_MAX + 10; i++) {
		(void)snprintf(address, sizeof(address), "2001:db8:0:%x::1", i);
		struct logins_ask guess = ask_of("ann", "right", address);
		guess.user = str_of(address);
		start(&many[i], &guess);
	}
	start(&one, &known);
	assert_int_equal(logins_stats(logins).waiting, LOGINS_QUEUE_MAX + 1);
	open_gate();
	await_answers(LOGINS_QUEUE_MAX + 11);
	for (unsigned i = 0; i < LOGINS_QUEUE_MAX + 10; i++)
		assert_int_equal(many[i].answer, i < LOGINS_QUEUE_MAX ? LOGINS_RIGHT : LOGINS_LATER);
	assert_int_equal(one.answer, LOGINS_RIGHT);
	free(many);
}

/* Failures. */

static void guess_wrong(unsigned times, const char *user, const char *address, unsigned from)
{
	char guess[16];

	for (unsigned i = 0; i < times; i++) {
		(void)snprintf(guess, sizeof(guess), "guess%u", from + i);
		assert_int_equal(login(user, guess, address), LOGINS_WRONG);
	}
}

static void an_address_that_fails_often_waits(void **state)
{
	struct logins_ask ask = ask_of("bob", "right", "192.0.2.1");
	char name[16];

	(void)state;
	assert_int_equal(login("ann", "right", "192.0.2.1"), LOGINS_RIGHT);
	for (unsigned i = 0; i < LOGINS_ADDRESS_FAILURES; i++) {
		(void)snprintf(name, sizeof(name), "user%u", i);
		assert_int_equal(login(name, "guess", "192.0.2.1"), LOGINS_WRONG);
	}
	assert_int_equal(ask_now(&ask).answer, LOGINS_LATER);
	assert_int_equal(ask_now(&ask).retry_after_s, LOGINS_ADDRESS_EVERY_MS / 1000);
	assert_int_equal(login("ann", "right", "192.0.2.1"), LOGINS_RIGHT);
	now_ms += KEPT_MS; /* who was right here is not kept out when nothing is remembered any more */
	for (unsigned i = 0; i < LOGINS_ADDRESS_FAILURES; i++) {
		(void)snprintf(name, sizeof(name), "more%u", i);
		assert_int_equal(login(name, "guess", "192.0.2.1"), LOGINS_WRONG);
	}
	assert_int_equal(ask_now(&ask).answer, LOGINS_LATER);
	assert_int_equal(login("ann", "right", "192.0.2.1"), LOGINS_RIGHT);
	assert_int_equal(login("bob", "right", "192.0.2.2"), LOGINS_RIGHT);
	now_ms += LOGINS_ADDRESS_EVERY_MS;
	assert_int_equal(login("cem", "right", "192.0.2.1"), LOGINS_RIGHT);
}

/* 200 at once: they were let in before any of them had failed. */
static void failures_count_for_those_that_wait_already(void **state)
{
	struct client many[100];
	unsigned wrong = 0;
	char guess[16];

	(void)state;
	close_gate();
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(guess, sizeof(guess), "guess%u", i);
		struct logins_ask ask = ask_of("ann", guess, "192.0.2.1");
		start(&many[i], &ask);
	}
	open_gate();
	await_answers(100);
	for (unsigned i = 0; i < 100; i++)
		wrong += many[i].answer == LOGINS_WRONG;
	assert_int_equal(wrong, LOGINS_ACCOUNT_FAILURES);
	assert_int_equal(logins_stats(logins).verified, LOGINS_ACCOUNT_FAILURES);
}

static void an_account_under_attack_is_not_locked(void **state)
{
	struct logins_ask guess = ask_of("ann", "guess", "198.51.100.0");
	char address[32];

	(void)state;
	assert_int_equal(login("ann", "right", "192.0.2.1"), LOGINS_RIGHT);
	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(address, sizeof(address), "198.51.100.%u", i);
		guess_wrong(LOGINS_PAIR_FAILURES, "ann", address, i * 100);
	}
	/* Each of the attackers has had its share, and would have more for others. */
	assert_int_equal(ask_now(&guess).answer, LOGINS_LATER);
	guess.user = STR("bob");
	assert_int_equal(ask_now(&guess).answer, LOGINS_WRONG);
	/* The owner from a new place, with a new password from the old one, and with what was right before.
	 */
	assert_int_equal(login("ann", "right", "203.0.113.1"), LOGINS_RIGHT);
	now_ms += KEPT_MS;
	guess_wrong(LOGINS_PAIR_FAILURES, "ann", "198.51.100.77", 9000);
	guess_wrong(LOGINS_PAIR_FAILURES + 1, "ann", "192.0.2.1", 5000);
	assert_int_equal(login("ann", "right", "198.51.100.0"), LOGINS_RIGHT);
}

static void accounts_that_do_not_exist_are_limited_alike(void **state)
{
	struct logins_ask ask = ask_of("nobody", "guess", "198.51.100.0");
	char address[32], guess[16];

	(void)state;
	ask.hash = STR_NONE;
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(guess, sizeof(guess), "guess%u", i);
		(void)snprintf(address, sizeof(address), "198.51.100.%u", i % 20);
		assert_true(ip_parse(str_of(address), &ask.client));
		ask.password = str_of(guess);
		assert_int_equal(ask_now(&ask).answer, LOGINS_WRONG);
	}
	ask.password = STR("another");
	assert_int_equal(ask_now(&ask).answer, LOGINS_LATER);
}

/* Many threads at once, each with a loop of its own. */

struct fleet {
	struct loop *loop;
	unsigned answered, right;
};

static void on_fleet_answer(void *arg, enum logins_answer answer, unsigned retry_after_s)
{
	struct fleet *fleet = arg;

	(void)retry_after_s;
	fleet->answered++;
	fleet->right += answer == LOGINS_RIGHT;
}

static void *fleet_main(void *arg)
{
	struct fleet *fleet = arg;
	struct logins_ask ask = ask_of("ann", "right", "192.0.2.1");
	struct error err;
	char name[16];

	CHECK(loop_new(&fleet->loop, "fleet", &err));
	for (unsigned i = 0; i < 200; i++) {
		struct logins_wait *wait;

		(void)snprintf(name, sizeof(name), "user%u", i % 20);
		ask.user = str_of(name);
		if (logins_look(logins, &ask) == LOGINS_RIGHT) {
			fleet->answered++;
			fleet->right++;
			continue;
		}
		wait = logins_start(logins, &ask, fleet->loop, on_fleet_answer, fleet);
		if (i % 7 == 0) {
			logins_cancel(wait);
			fleet->answered++;
			fleet->right++;
		}
		loop_turn(fleet->loop, 0);
	}
	while (fleet->answered < 200)
		loop_turn(fleet->loop, 1000);
	return NULL;
}

static void threads_ask_at_once(void **state)
{
	pthread_t threads[4];
	struct fleet fleets[4] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fleet_main, &fleets[i]), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(fleets[i].answered, 200);
		assert_int_equal(fleets[i].right, 200);
	}
	pool_free(pool);
	pool = NULL;
	for (unsigned i = 0; i < 4; i++) {
		loop_turn(fleets[i].loop, 0);
		loop_free(fleets[i].loop);
	}
	assert_true(logins_stats(logins).verified >= 20);
	assert_int_equal(logins_stats(logins).waiting + logins_stats(logins).running, 0);
}

static void lanes_leave_room(void **state)
{
	(void)state;
	assert_int_equal(logins_lanes(1, 32), 1);
	assert_int_equal(logins_lanes(2, 32), 1);
	assert_int_equal(logins_lanes(8, 32), 4);
	assert_int_equal(logins_lanes(64, 32), 8);
	assert_int_equal(logins_lanes(64, 2), 1);
}

static void figures_are_told(void **state)
{
	AUTO_FINI(buf) text = buf_limit(100000);

	(void)state;
	assert_int_equal(login("ann", "wrong", "192.0.2.1"), LOGINS_WRONG);
	logins_metrics(logins, "zot_", &text);
	assert_non_null(strstr(buf_text(&text), "\nzot_logins_verified_total 1\n"));
	assert_non_null(strstr(buf_text(&text), "\nzot_logins_wrong_total 1\n"));
	assert_non_null(strstr(buf_text(&text), "\nzot_logins_waiting 0\n"));
	assert_non_null(strstr(buf_text(&text), "# TYPE zot_logins_running gauge\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_right_password_is_remembered_and_then_not),
		TEST(only_the_same_three_are_remembered),
		TEST(a_wrong_one_is_remembered_for_some_seconds),
		TEST(nobody_is_remembered_as_wrong_like_everybody),
		TEST(one_in_use_is_renewed_before_its_time_is_over),
		TEST(a_late_renewal_is_waited_for),
		TEST(equal_logins_share_a_verification),
		TEST(who_gives_up_takes_the_work_along),
		TEST(who_gives_up_late_is_not_called),
		TEST(a_stranger_does_not_wait_for_another_addresss_many),
		TEST(those_that_were_right_before_go_first),
		TEST(an_address_has_a_share_of_the_queue),
		TEST(the_queue_of_strangers_is_bounded_and_keeps_nobody_else_out),
		TEST(an_address_that_fails_often_waits),
		TEST(failures_count_for_those_that_wait_already),
		TEST(an_account_under_attack_is_not_locked),
		TEST(accounts_that_do_not_exist_are_limited_alike),
		TEST(threads_ask_at_once),
		TEST(lanes_leave_room),
		TEST(figures_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
