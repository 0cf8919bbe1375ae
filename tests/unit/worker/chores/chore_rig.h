/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chore_rig - chores beside a registry on a folder: they begin with chore_rig_start(), and end as a worker ends.
 */
#pragma once

#include "tests/unit/worker/registry/registry_rig.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/clock.h"
#include "common/loop.h"
#include "worker/chores/chores.h"

struct chore_rig {
	struct registry_rig rig;
	struct loop *loop;
	struct chores *chores;
	pthread_t thread;
	bool started;
};

static inline void *chore_rig_turn(void *loop)
{
	loop_run(loop);
	return NULL;
}

static inline struct chores_load chore_rig_no_load(void *arg)
{
	(void)arg;
	return (struct chores_load){ 0 };
}

static inline void chore_rig_open(struct chore_rig *rig)
{
	registry_rig_open(&rig->rig);
	assert_true(loop_new(&rig->loop, "chores", NULL));
	rig->chores = chores_new(rig->loop, rig->rig.pool, chore_rig_no_load, NULL);
}

static inline void chore_rig_start(struct chore_rig *rig)
{
	rig->started = true;
	chores_start(rig->chores);
	assert_int_equal(pthread_create(&rig->thread, NULL, chore_rig_turn, rig->loop), 0);
}

static inline void chore_rig_stop(struct chore_rig *rig)
{
	if (!rig->started)
		return;
	rig->started = false;
	chores_stop(rig->chores);
	loop_stop(rig->loop);
	assert_int_equal(pthread_join(rig->thread, NULL), 0);
	chores_await_end(rig->chores);
}

static inline void chore_rig_close(struct chore_rig *rig)
{
	chore_rig_stop(rig);
	registry_rig_close(&rig->rig);
	loop_turn(rig->loop, 0);
	chores_free(rig->chores);
	loop_free(rig->loop);
}

/* False: it was not so within half a minute. */
static inline bool chore_rig_await(bool (*is_so)(void *arg), void *arg)
{
	for (int64_t end = clock_ms() + 30000; clock_ms() < end; (void)poll(NULL, 0, 2))
		if (is_so(arg))
			return true;
	return false;
}
