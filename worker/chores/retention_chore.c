/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/retention_chore.h"

#include <inttypes.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/name.h"
#include "worker/registry/registry.h"
#include "worker/registry/retention_remove.h"
#include "worker/storage/store.h"

#define LOOK_MS 1000 /* whether it is time */

/* A pass. */
struct walk {
	struct retention_chore *retention;
	struct chore_turn *turn;
	struct pace pace;
	uint64_t failed;
	struct error first; /* of those */
	bool over;          /* the worker ends */
};

static void on_removed(void *arg, const struct retention_work *work, const char *tag,
	const struct digest *digest, const char *why)
{
	const char *event = work->terms.dry_run ? "retention.would_remove" : "retention.removed";
	char text[DIGEST_TEXT_SIZE];

	(void)arg;
	digest_format(digest, text);
	if (*tag)
		log_info(event, "repository=%s tag=%s digest=%s reason=%s", log_quote(work->name),
			log_quote(str_of(tag)), text, log_quote(str_of(why)));
	else
		log_info(event, "repository=%s digest=%s reason=%s", log_quote(work->name), text,
			log_quote(str_of(why)));
}

static void tell(const struct retention_work *work)
{
	if (!work->tags && !work->manifests && !work->left)
		return;
	log_info("retention.repository",
		"repository=%s dry_run=%s tags=%" PRIu64 " manifests=%" PRIu64 " immutable=%" PRIu64
		" left=%s",
		log_quote(work->name), work->terms.dry_run ? "true" : "false", work->tags, work->manifests,
		work->immutable, work->left ? "true" : "false");
}

/* ---- a repository ---- */

static bool do_one(struct walk *walk, struct str name, struct error *err)
{
	struct retention_chore *retention = walk->retention;
	const struct retention_whose *whose = &retention->whose;
	struct retention_work work = {
		.registry = retention->registry, .name = name, .pace = &walk->pace, .removed = on_removed
	};
	struct retention_source source;
	bool ok = true;

	if (!whose->open(whose->arg, name, &source, err))
		return false;
	work.terms = retention_terms(source.retention, name, source.delay_ms);
	work.terms.dry_run = work.terms.dry_run || chore_is_dry(walk->turn);
	work.limits = source.limits;
	if (work.terms.is_set) {
		chore_takes(walk->turn, name);
		ok = retention_remove(&work, err);
		chore_counts(walk->turn, work.tags + work.manifests, 0);
		tell(&work);
	}
	whose->close(whose->arg, &source);
	return ok;
}

/* A crash may leave a name in the catalog before its index; one may be gone meanwhile, or another member's. */
static bool is_nothing(const struct error *err)
{
	return err->kind == ERROR_UNKNOWN || err->kind == ERROR_UNAVAILABLE;
}

static bool on_name(void *arg, struct str name)
{
	struct walk *walk = arg;
	const struct retention_whose *whose = &walk->retention->whose;
	struct error err;

	walk->over = !chore_may_go_on(walk->turn);
	if (walk->over)
		return false;
	if (!whose->is_ours(whose->arg, name) || do_one(walk, name, &err) || is_nothing(&err))
		return true;
	if (!walk->failed++) {
		walk->first = err;
		(void)error_add(&walk->first, "repository %.*s", STR_ARGS(name));
	}
	return true;
}

/* ---- a pass ---- */

static bool walk_all(struct walk *walk, struct error *err)
{
	if (!store_catalog_each(walk->retention->registry->store, on_name, walk, err))
		return error_add(err, "catalog");
	if (!walk->failed)
		return true;
	*err = walk->first;
	return error_add(err, "%" PRIu64 " could not be looked at, the first", walk->failed);
}

static bool is_time(const struct retention_chore *retention, uint64_t version)
{
	bool moved = !retention->ran || version != retention->version;

	return clock_ms() >= (moved ? retention->soon_ms : retention->next_ms);
}

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	struct retention_chore *retention = arg;
	const struct retention_whose *whose = &retention->whose;
	struct walk walk = { .retention = retention, .turn = turn, .pace = chore_pace(turn) };
	uint64_t version;
	int64_t begun = clock_ms();
	bool ok;

	if (!whose->is_on(whose->arg))
		return !chore_is_asked(turn) || chore_refuse(turn, err,
							"retention: no policy asks for anything here, or who "
							"owns what is not known yet");
	version = whose->version(whose->arg);
	if (!is_time(retention, version) && !chore_is_asked(turn))
		return true;
	chore_works(turn, "repositories", 0);
	ok = walk_all(&walk, err);
	if (chore_is_dry(turn))
		return ok || error_add(err, "retention");
	retention->ran = true;
	retention->version = version;
	retention->soon_ms = clock_ms() + RETENTION_PAUSE_TIMES * (clock_ms() - begun);
	retention->next_ms = clock_ms() + retention->every_ms;
	if (retention->next_ms < retention->soon_ms)
		retention->next_ms = retention->soon_ms;
	return ok || error_add(err, "retention");
}

void retention_chore_add(struct chores *chores, struct retention_chore *retention)
{
	chores_add_dry(chores, &(struct chore){ .name = "retention",
				       .first_ms = LOOK_MS,
				       .every_ms = LOOK_MS,
				       .run = run,
				       .arg = retention });
}
