/* SPDX-License-Identifier: Apache-2.0 */
/* peer_seen: each number of a process is taken once, in any order, by any thread, and what is forgotten does
 * not come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "worker/auth/peer_seen.h"

#define START INT64_C(1000000)

static const uint8_t one[PEER_PROCESS_BYTES] = { 1, 1 }, two[PEER_PROCESS_BYTES] = { 2, 2 };

static void each_is_taken_once(void **state)
{
	AUTO(peer_seen) *seen = peer_seen_new();

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(peer_seen_take(seen, one, i * 7 % 1000, START), PEER_SEEN_NEW);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(peer_seen_take(seen, one, i, START + 5), PEER_SEEN_USED);
	assert_int_equal(peer_seen_take(seen, two, 5, START), PEER_SEEN_NEW);
	assert_int_equal(peer_seen_take(seen, two, 5, START), PEER_SEEN_USED);
}

/* Nobody knows whether what lies behind the window was used. */
static void the_window_moves_on(void **state)
{
	AUTO(peer_seen) *seen = peer_seen_new();
	const uint64_t far = 10 * (uint64_t)PEER_SEEN_WINDOW + 17;

	(void)state;
	assert_int_equal(peer_seen_take(seen, one, 17, START), PEER_SEEN_NEW);
	assert_int_equal(peer_seen_take(seen, one, far, START), PEER_SEEN_NEW);
	assert_int_equal(peer_seen_take(seen, one, far, START), PEER_SEEN_USED);
	assert_int_equal(peer_seen_take(seen, one, 17, START), PEER_SEEN_USED);
	assert_int_equal(peer_seen_take(seen, one, 18, START), PEER_SEEN_USED);
	assert_int_equal(peer_seen_take(seen, one, far - PEER_SEEN_WINDOW, START), PEER_SEEN_USED);
	/* All that is less than a window behind comes in any order. */
	for (uint64_t back = PEER_SEEN_WINDOW - 32; back > 0; back--)
		assert_int_equal(peer_seen_take(seen, one, far - back, START), PEER_SEEN_NEW);
	for (uint64_t back = PEER_SEEN_WINDOW - 32; back > 0; back--)
		assert_int_equal(peer_seen_take(seen, one, far - back, START), PEER_SEEN_USED);
	assert_int_equal(peer_seen_take(seen, one, PEER_SEQUENCE_MAX, START), PEER_SEEN_NEW);
	assert_int_equal(peer_seen_take(seen, one, PEER_SEQUENCE_MAX, START), PEER_SEEN_USED);
	assert_int_equal(peer_seen_take(seen, one, PEER_SEQUENCE_MAX - 1, START), PEER_SEEN_NEW);
}

static void process_of(unsigned number, uint8_t into[PEER_PROCESS_BYTES])
{
	memset(into, 0, PEER_PROCESS_BYTES);
	memcpy(into + 1, &number, sizeof(number));
}

/* All in one part of the table: the worst case. */
static void what_is_forgotten_does_not_come_back(void **state)
{
	AUTO(peer_seen) *seen = peer_seen_new();
	const unsigned many = 4 * PEER_SEEN_PROCESSES;
	uint8_t process[PEER_PROCESS_BYTES];

	(void)state;
	for (unsigned i = 0; i < many; i++) {
		process_of(i, process);
		assert_int_equal(peer_seen_take(seen, process, 1, START + i), PEER_SEEN_NEW);
	}
	for (unsigned i = 0; i < many; i++) {
		process_of(i, process);
		assert_int_not_equal(peer_seen_take(seen, process, 1, START + i), PEER_SEEN_NEW);
	}
	/* One that was forgotten is welcome with what it signs now, but not with what it signed before. */
	process_of(0, process);
	assert_int_equal(peer_seen_take(seen, process, 2, START + many), PEER_SEEN_NEW);
	assert_int_equal(peer_seen_take(seen, process, 1, START), PEER_SEEN_EARLY);
}

#define RACERS  4
#define NUMBERS (2 * PEER_SEEN_WINDOW)

struct race {
	struct peer_seen *seen;
	_Atomic uint64_t taken;
	_Atomic uint8_t *times;
};

/* Each tries all numbers of a process, and makes others forgotten by the way. */
static void *racer(void *arg)
{
	struct race *race = arg;
	uint64_t taken = 0;

	for (uint64_t i = 0; i < NUMBERS; i++) {
		if (peer_seen_take(race->seen, one, i, START) == PEER_SEEN_NEW) {
			taken++;
			race->times[i]++;
		}
		if (i % 4096 == 0) {
			uint8_t process[PEER_PROCESS_BYTES];
			process_of((unsigned)i, process);
			(void)peer_seen_take(race->seen, process, i, START + 1);
		}
	}
	race->taken += taken;
	return NULL;
}

static void many_threads_take_each_once(void **state)
{
	AUTO(peer_seen) *seen = peer_seen_new();
	static _Atomic uint8_t times[NUMBERS];
	struct race race = { .seen = seen, .times = times };
	pthread_t threads[RACERS];

	(void)state;
	for (unsigned i = 0; i < RACERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, racer, &race), 0);
	for (unsigned i = 0; i < RACERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	/* Whoever is in front finds the number free. */
	for (uint64_t i = 0; i < NUMBERS; i++)
		assert_int_equal(race.times[i], 1);
	assert_int_equal(race.taken, NUMBERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_taken_once),
		cmocka_unit_test(the_window_moves_on),
		cmocka_unit_test(what_is_forgotten_does_not_come_back),
		cmocka_unit_test(many_threads_take_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
