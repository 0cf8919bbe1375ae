/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/dump.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/file.h"
#include "common/log.h"
#include "common/pool.h"
#include "leader/leader.h"
#include "leader/state_log.h"

enum { IDLE, WRITING, WRITING_AND_CHANGED };

struct dump {
	struct leader *leader;
	char *path;
	atomic_int phase;
};

struct dump *dump_new(struct leader *leader, const char *path)
{
	struct dump *dump = xnew(struct dump);

	dump->leader = leader;
	dump->path = check_strdup(path);
	file_tighten(path);
	return dump;
}

void dump_free(struct dump *dump)
{
	if (!dump)
		return;
	free(dump->path);
	free(dump);
}

static void write_once(struct dump *dump)
{
	const struct state_want all = { .full = true, .lines = true };
	AUTO(state_answer) *lines = state_log_lines(dump->leader->log, &all);
	struct error err;

	if (!file_write_durable(dump->path, lines->plain, 0600, &err))
		log_warn("dump.write", "error=%s ignoring", log_quote(str_of(err.text)));
}

static void run(void *arg)
{
	struct dump *dump = arg;
	int writing;

	do {
		atomic_store(&dump->phase, WRITING);
		write_once(dump);
		writing = WRITING;
	} while (!atomic_compare_exchange_strong(&dump->phase, &writing, IDLE));
}

void dump_changed(struct dump *dump)
{
	if (dump && atomic_exchange(&dump->phase, WRITING_AND_CHANGED) == IDLE)
		pool_push(dump->leader->pool, run, dump);
}
