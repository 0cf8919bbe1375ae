/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/scrub.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "common/clock.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/log.h"
#include "common/pool.h"
#include "common/progress.h"
#include "worker/registry/registry.h"
#include "worker/registry/scrub.h"
#include "worker/registry/scrub_rate.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

#define CACHE_BYTES (16 * 1024 * 1024)
#define NOTE_MAX    (1024 * 1024)
#define MIB         (1024 * 1024)

struct scrubbing {
	const struct worker_settings *settings;
	struct registry *registry;
	struct progress progress;
	bool dry_run;
	uint64_t left; /* what is wrong still */
	uint64_t moving;
	struct scrub_counts counts;
};

static void tell(void *arg, const struct scrub_finding *finding)
{
	struct scrubbing *s = arg;
	char digest[DIGEST_TEXT_SIZE] = "index";

	if (finding->digest)
		digest_format(finding->digest, digest);
	s->left += finding->fate != SCRUB_HEALED;
	progress_clear(&s->progress);
	(void)printf("%s %s %s, %s%s%s: %s\n", finding->name, digest, scrub_kind_name(finding->kind),
		scrub_fate_name(finding->fate), finding->from ? " from " : "",
		finding->from ? finding->from : "", finding->why);
}

/* One with a note is on its way from one member to another: not all of it is here, or it is another's. */
static bool is_here(void *arg, struct str name)
{
	struct scrubbing *s = arg;
	AUTO_FINI(buf) note = buf_limit(NOTE_MAX);
	struct error err;
	bool here = !store_note_get(s->registry->store, name, &note, &err) && err.kind == ERROR_UNKNOWN;

	s->moving += !here;
	return here;
}

static void rest(int64_t owed, int64_t per_s)
{
	int64_t ms = owed * 1000 / per_s + 1;
	const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&pause, NULL);
}

static void walk(struct scrubbing *s)
{
	const struct scrub_how how = { .dry_run = s->dry_run, .is_ours = is_here, .told = tell, .arg = s };
	AUTO(scrub) *scrub = scrub_new(s->registry, &how, NULL);
	struct scrub_rate rate;
	struct error err;

	scrub_rate_init(&rate, s->settings->scrub_rate, clock_ms());
	progress_begin(&s->progress, "MiB", 0);
	while (!scrub_is_over(scrub)) {
		int64_t have = scrub_rate_have(&rate, clock_ms());

		if (have <= 0)
			rest(-have, s->settings->scrub_rate);
		else
			scrub_rate_spend(&rate, scrub_go_on(scrub, (uint64_t)have));
		s->counts = scrub_counts_of(scrub);
		progress_tell(&s->progress, s->counts.bytes / MIB);
	}
	progress_end(&s->progress);
	if (scrub_failed(scrub, &err))
		log_error("scrub", "error=%s", log_quote(str_of(err.text)));
}

static bool run(struct scrubbing *s, struct error *err)
{
	AUTO(store) *store = NULL;
	struct registry_settings settings = {
		.self = "", .index_cache_bytes = CACHE_BYTES, .manifest_cache_bytes = CACHE_BYTES
	};
	uint64_t trimmed;
	bool ok;

	if (!worker_open_store(s->settings, &store, err) || !pool_new(&settings.pool, 2, 16, err))
		return false;
	settings.store = store;
	s->registry = registry_new(&settings);
	walk(s);
	ok = s->dry_run || store_aside_trim(store, NULL, &trimmed, err);
	registry_stop(s->registry);
	pool_free(settings.pool);
	registry_free(s->registry);
	return ok;
}

int scrub_run(const struct worker_settings *settings, bool dry_run)
{
	struct scrubbing s = { .settings = settings, .dry_run = dry_run };
	struct error err;
	bool ok;

	http_client_init();
	ok = run(&s, &err);
	http_client_fini();
	if (!ok)
		log_error("scrub", "error=%s", log_quote(str_of(err.text)));
	(void)printf("%" PRIu64 " repositories, %" PRIu64 " blobs, %" PRIu64 " bytes read, %" PRIu64
		     " by the bucket's checksum: %" PRIu64 " rotten, %" PRIu64 " unreadable, %" PRIu64
		     " missing, %" PRIu64 " of another size, %" PRIu64 " malformed, %" PRIu64
		     " indexes; %" PRIu64 " set aside, %" PRIu64 " healed, %" PRIu64
		     " set aside before; %" PRIu64 " too young, %" PRIu64 " repositories left alone, %" PRIu64
		     " could not be looked at\n",
		s.counts.repositories, s.counts.blobs, s.counts.bytes, s.counts.vouched,
		s.counts.found[SCRUB_ROTTEN], s.counts.found[SCRUB_UNREADABLE], s.counts.found[SCRUB_MISSING],
		s.counts.found[SCRUB_SIZE], s.counts.found[SCRUB_MALFORMED], s.counts.found[SCRUB_INDEX],
		s.counts.set_aside, s.counts.healed, s.counts.aside, s.counts.young, s.moving,
		s.counts.failed);
	return !ok || s.left || s.counts.aside || s.counts.failed;
}
