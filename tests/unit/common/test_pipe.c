/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pipe - bounded bytes between two ends, wake-ups, ends and failures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/loop.h"
#include "common/pipe.h"

static int set_up(void **state)
{
	struct loop *loop = NULL;
	struct error err;
	assert_true(loop_new(&loop, "test", &err));
	*state = loop;
	return 0;
}

static int tear_down(void **state)
{
	loop_free(*state);
	return 0;
}

static void count(void *owner)
{
	++*(int *)owner;
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525U + 1013904223U;
	return *seed >> 8;
}

/* What goes in comes out, whatever the sizes, and never more than the capacity is inside. */
static void carry(struct loop *loop, uint32_t seed)
{
	size_t capacity = 1 + next_random(&seed) % 20000;
	size_t total = next_random(&seed) % 200000;
	struct pipe *pipe = pipe_new(loop, capacity);
	size_t in = 0, out = 0;
	unsigned char bytes[9000], got[9000];
	enum pipe_step step = PIPE_OK;
	while (step != PIPE_END) {
		size_t want = 1 + next_random(&seed) % sizeof(bytes);
		want = want < total - in ? want : total - in;
		for (size_t i = 0; i < want; i++)
			bytes[i] = (unsigned char)((in + i) * 31 + ((in + i) >> 8));
		size_t taken = 0;
		if (want > 0 && pipe_write(pipe, bytes, want, &taken) == PIPE_OK)
			assert_true(taken >= 1 && taken <= want);
		in += taken;
		assert_true(pipe_len(pipe) == in - out && pipe_len(pipe) <= capacity);
		if (in == total)
			pipe_finish(pipe);
		size_t len = 0;
		step = pipe_read(pipe, got, 1 + next_random(&seed) % sizeof(got), &len);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(got[i], (unsigned char)((out + i) * 31 + ((out + i) >> 8)));
		out += len;
	}
	assert_int_equal(out, total);
	pipe_unref_writer(pipe);
	pipe_unref_reader(pipe);
}

static void test_bytes_come_out_as_they_went_in(void **state)
{
	for (uint32_t seed = 1; seed <= 60; seed++)
		carry(*state, seed * 7919);
}

static void test_a_writer_wakes_once_when_half_is_free(void **state)
{
	struct loop *loop = *state;
	struct pipe *pipe = pipe_new(loop, 100);
	int woken = 0;
	size_t n = 0;
	char bytes[100] = { 0 };
	pipe_on_room(pipe, count, &woken);
	assert_int_equal(pipe_write(pipe, bytes, 100, &n), PIPE_OK);
	assert_int_equal(pipe_write(pipe, bytes, 1, &n), PIPE_AGAIN);
	assert_int_equal(n, 0);
	assert_int_equal(pipe_read(pipe, bytes, 49, &n), PIPE_OK);
	loop_turn(loop, 0);
	assert_int_equal(woken, 0);
	assert_int_equal(pipe_read(pipe, bytes, 1, &n), PIPE_OK);
	assert_int_equal(woken, 0); /* never from inside */
	loop_turn(loop, 0);
	assert_int_equal(pipe_read(pipe, bytes, 10, &n), PIPE_OK);
	loop_turn(loop, 0);
	assert_int_equal(woken, 1);
	pipe_unref_writer(pipe);
	pipe_unref_reader(pipe);
}

static void test_a_writer_that_got_rid_of_a_part_is_woken(void **state)
{
	struct loop *loop = *state;
	struct pipe *pipe = pipe_new(loop, 100);
	int woken = 0;
	size_t n = 0;
	char bytes[150] = { 0 };
	pipe_on_room(pipe, count, &woken);
	assert_int_equal(pipe_write(pipe, bytes, 150, &n), PIPE_OK);
	assert_int_equal(n, 100);
	assert_int_equal(pipe_read(pipe, bytes, 100, &n), PIPE_OK);
	loop_turn(loop, 0);
	assert_int_equal(woken, 1);
	pipe_unref_writer(pipe);
	pipe_unref_reader(pipe);
}

static void test_all_or_nothing_waits_for_enough(void **state)
{
	struct loop *loop = *state;
	struct pipe *pipe = pipe_new(loop, 100);
	int woken = 0;
	size_t n = 0;
	char bytes[100] = { 0 };
	pipe_on_room(pipe, count, &woken);
	assert_int_equal(pipe_write_whole(pipe, bytes, 60), PIPE_OK);
	assert_int_equal(pipe_write_whole(pipe, bytes, 90), PIPE_AGAIN);
	assert_int_equal(pipe_len(pipe), 60);
	assert_int_equal(pipe_read(pipe, bytes, 20, &n), PIPE_OK);
	loop_turn(loop, 0);
	assert_int_equal(woken, 0); /* half is free, which is not enough */
	assert_int_equal(pipe_read(pipe, bytes, 30, &n), PIPE_OK);
	loop_turn(loop, 0);
	assert_int_equal(woken, 1);
	assert_int_equal(pipe_write_whole(pipe, bytes, 90), PIPE_OK);
	pipe_unref_writer(pipe);
	pipe_unref_reader(pipe);
}

static void test_a_reader_wakes_for_bytes_end_and_failure(void **state)
{
	struct loop *loop = *state;
	for (int way = 0; way < 4; way++) {
		struct pipe *pipe = pipe_new(loop, 100);
		int woken = 0;
		size_t n = 7;
		char bytes[100] = { 0 };
		assert_int_equal(pipe_read(pipe, bytes, 1, &n), PIPE_AGAIN);
		assert_int_equal(n, 7);
		if (way == 0)
			assert_int_equal(pipe_write(pipe, bytes, 3, &n), PIPE_OK);
		else if (way == 1)
			pipe_finish(pipe);
		else if (way == 2)
			pipe_fail(pipe, NULL);
		else
			pipe_unref_writer(pipe);
		pipe_on_bytes(pipe, count, &woken); /* late, but not too late */
		loop_turn(loop, 0);
		assert_int_equal(woken, 1);
		if (way != 3)
			pipe_unref_writer(pipe);
		pipe_unref_reader(pipe);
	}
}

static void test_finish_drains_and_failure_does_not(void **state)
{
	struct loop *loop = *state;
	size_t n = 0;
	char bytes[10];
	struct pipe *pipe = pipe_new(loop, 100);
	assert_int_equal(pipe_write_whole(pipe, "abc", 3), PIPE_OK);
	pipe_finish(pipe);
	pipe_unref_writer(pipe);
	assert_int_equal(pipe_read(pipe, bytes, 2, &n), PIPE_OK);
	assert_int_equal(pipe_read(pipe, bytes, 2, &n), PIPE_OK);
	assert_int_equal(pipe_read(pipe, bytes, 2, &n), PIPE_END);
	assert_null(pipe_error(pipe));
	pipe_unref_reader(pipe);

	pipe = pipe_new(loop, 100);
	assert_int_equal(pipe_write_whole(pipe, "abc", 3), PIPE_OK);
	struct error err;
	(void)error_set(&err, ERROR_TIMEOUT, NULL, "slow");
	pipe_fail(pipe, &err);
	assert_int_equal(pipe_read(pipe, bytes, 2, &n), PIPE_FAILED);
	assert_int_equal(pipe_error(pipe)->kind, ERROR_TIMEOUT);
	pipe_unref_writer(pipe);
	pipe_unref_reader(pipe);
}

static void test_abandoning_tells_the_writer(void **state)
{
	struct loop *loop = *state;
	size_t n = 0;
	int woken = 0;
	char bytes[100] = { 0 };
	struct pipe *pipe = pipe_new(loop, 100);
	pipe_on_room(pipe, count, &woken);
	assert_int_equal(pipe_write(pipe, bytes, 100, &n), PIPE_OK);
	assert_int_equal(pipe_write_whole(pipe, bytes, 1), PIPE_AGAIN);
	pipe_unref_reader(pipe);
	loop_turn(loop, 0);
	assert_int_equal(woken, 1);
	assert_int_equal(pipe_write(pipe, bytes, 1, &n), PIPE_FAILED);
	assert_int_equal(pipe_write_whole(pipe, bytes, 1), PIPE_FAILED);
	assert_non_null(pipe_error(pipe));
	pipe_unref_writer(pipe);
}

static void test_an_end_that_let_go_is_not_called(void **state)
{
	struct loop *loop = *state;
	size_t n = 0;
	int woken = 0;
	char byte;
	struct pipe *pipe = pipe_new(loop, 100);
	pipe_on_bytes(pipe, count, &woken);
	assert_int_equal(pipe_read(pipe, &byte, 1, &n), PIPE_AGAIN);
	assert_int_equal(pipe_write(pipe, "a", 1, &n), PIPE_OK);
	pipe_unref_reader(pipe); /* the wake-up is on its way and holds the pipe */
	pipe_unref_writer(pipe);
	loop_turn(loop, 0);
	assert_int_equal(woken, 0);
}

/* What lies in the ring is seen where it lies, in one run or in two, and a part of it may be done with. */
static void test_a_look_copies_nothing(void **state)
{
	struct loop *loop = *state;
	struct pipe *pipe = pipe_new(loop, 100);
	struct iovec parts[2];
	char bytes[100], got[100];
	size_t n = 0;
	int len = 0, woken = 0;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	assert_int_equal(pipe_look(pipe, parts, &len), PIPE_AGAIN);
	assert_int_equal(pipe_write(pipe, bytes, 100, &n), PIPE_OK);
	pipe_on_room(pipe, count, &woken);
	assert_int_equal(pipe_write(pipe, bytes, 1, &n), PIPE_AGAIN);
	assert_int_equal(pipe_look(pipe, parts, &len), PIPE_OK);
	assert_true(len == 1 && parts[0].iov_len == 100 && !memcmp(parts[0].iov_base, bytes, 100));
	pipe_took(pipe, 60);
	loop_turn(loop, 0);
	assert_int_equal(woken, 1);
	assert_int_equal(pipe_write(pipe, bytes, 30, &n), PIPE_OK);
	assert_int_equal(pipe_look(pipe, parts, &len), PIPE_OK);
	assert_int_equal(len, 2);
	memcpy(got, parts[0].iov_base, parts[0].iov_len);
	memcpy(got + parts[0].iov_len, parts[1].iov_base, parts[1].iov_len);
	assert_true(parts[0].iov_len == 40 && parts[1].iov_len == 30);
	assert_memory_equal(got, bytes + 60, 40);
	assert_memory_equal(got + 40, bytes, 30);
	pipe_took(pipe, 70);
	pipe_finish(pipe);
	assert_int_equal(pipe_look(pipe, parts, &len), PIPE_END);
	pipe_unref_writer(pipe);
	pipe_unref_reader(pipe);
}

/* Sends what the pipe's kernel half has to a socket, as a reader does. */
static size_t splice_out(struct pipe *pipe, int into)
{
	int from = -1;
	size_t len = pipe_in_kernel(pipe, &from);
	ssize_t n = len > 0 ? splice(from, NULL, into, NULL, len, SPLICE_F_NONBLOCK) : 0;
	assert_true(n >= 0);
	if (n > 0)
		pipe_took(pipe, (size_t)n);
	return (size_t)n;
}

static void test_a_socket_is_spliced_behind_what_was_written(void **state)
{
	struct loop *loop = *state;
	struct pipe *pipe = pipe_new(loop, 100);
	int source[2], sink[2], woken = 0, from = -1;
	char bytes[64];
	size_t n = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, source), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sink), 0);
	assert_false(pipe_open_splice(pipe)); /* the reader said nothing */
	pipe_may_splice(pipe);
	pipe_on_bytes(pipe, count, &woken);
	assert_int_equal(pipe_write(pipe, "first ", 6, &n), PIPE_OK);
	assert_true(pipe_open_splice(pipe));
	assert_true(pipe_open_splice(pipe));
	assert_int_equal(pipe_splice(pipe, source[0], 100, &n), PIPE_AGAIN);
	assert_int_equal(write(source[1], "second third", 12), 12);
	assert_int_equal(pipe_splice(pipe, source[0], 6, &n), PIPE_OK);
	assert_int_equal(n, 6);
	assert_int_equal(pipe_len(pipe), 12);
	/* Memory first. */
	assert_int_equal(pipe_in_kernel(pipe, &from), 0);
	assert_int_equal(pipe_read(pipe, bytes, sizeof(bytes), &n), PIPE_OK);
	assert_memory_equal(bytes, "first ", 6);
	assert_int_equal(splice_out(pipe, sink[0]), 6);
	assert_int_equal(read(sink[1], bytes, sizeof(bytes)), 6);
	assert_memory_equal(bytes, "second", 6);
	/* A reader that waits hears of what comes there. */
	assert_int_equal(pipe_read(pipe, bytes, sizeof(bytes), &n), PIPE_AGAIN);
	assert_int_equal(pipe_splice(pipe, source[0], 100, &n), PIPE_OK);
	loop_turn(loop, 0);
	assert_int_equal(woken, 1);
	(void)close(source[1]);
	assert_int_equal(pipe_splice(pipe, source[0], 100, &n), PIPE_END);
	pipe_finish(pipe);
	assert_int_equal(splice_out(pipe, sink[0]), 6);
	assert_int_equal(pipe_read(pipe, bytes, sizeof(bytes), &n), PIPE_END);
	pipe_unref_writer(pipe);
	pipe_unref_reader(pipe);
	(void)close(source[0]);
	(void)close(sink[0]);
	(void)close(sink[1]);
}

/* No more than there is room for is ever inside, and the writer is woken when there is room again. */
static void test_splicing_is_bounded_and_wakes(void **state)
{
	struct loop *loop = *state;
	struct pipe *pipe = pipe_new(loop, 100);
	int source[2], sink[2], woken = 0;
	static char block[65536];
	size_t n = 0, in = 0, out = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, source), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sink), 0);
	pipe_on_room(pipe, count, &woken);
	pipe_may_splice(pipe);
	assert_true(pipe_open_splice(pipe));
	for (bool full = false; !full;) {
		while (write(source[1], block, sizeof(block)) > 0)
			;
		full = pipe_splice(pipe, source[0], SIZE_MAX, &n) != PIPE_OK;
		in += full ? 0 : n;
	}
	assert_true(in > 0 && in <= PIPE_SPLICE_ROOM);
	assert_int_equal(pipe_len(pipe), in);
	loop_turn(loop, 0);
	assert_int_equal(woken, 0);
	while (out < in) {
		out += splice_out(pipe, sink[0]);
		while (read(sink[1], block, sizeof(block)) > 0)
			;
	}
	loop_turn(loop, 0);
	assert_int_equal(woken, 1);
	assert_int_equal(pipe_splice(pipe, source[0], SIZE_MAX, &n), PIPE_OK);
	/* A reader that lets go leaves nothing inside. */
	pipe_unref_reader(pipe);
	assert_int_equal(pipe_splice(pipe, source[0], SIZE_MAX, &n), PIPE_FAILED);
	assert_int_equal(pipe_len(pipe), 0);
	pipe_unref_writer(pipe);
	for (int i = 0; i < 2; i++) {
		(void)close(source[i]);
		(void)close(sink[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bytes_come_out_as_they_went_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_writer_wakes_once_when_half_is_free, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_writer_that_got_rid_of_a_part_is_woken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_all_or_nothing_waits_for_enough, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_reader_wakes_for_bytes_end_and_failure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_finish_drains_and_failure_does_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_abandoning_tells_the_writer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_end_that_let_go_is_not_called, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_look_copies_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_socket_is_spliced_behind_what_was_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_splicing_is_bounded_and_wakes, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
