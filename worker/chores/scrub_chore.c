/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/scrub_chore.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define NOTE_MAX (SCRUB_PLACE_TEXT_MAX + 256)

void scrub_log(const struct scrub_finding *finding)
{
	char digest[DIGEST_TEXT_SIZE] = "";

	if (finding->digest)
		digest_format(finding->digest, digest);
	if (finding->fate == SCRUB_HEALED)
		log_warn("scrub.healed", "repository=%s digest=%s kind=%s from=%s why=%s", finding->name,
			digest, scrub_kind_name(finding->kind), log_quote(str_of(finding->from)),
			log_quote(str_of(finding->why)));
	else if (finding->kind == SCRUB_MISSING || finding->kind == SCRUB_SIZE)
		log_warn("scrub.found", "repository=%s digest=%s kind=%s why=%s", finding->name, digest,
			scrub_kind_name(finding->kind), log_quote(str_of(finding->why)));
	else
		log_error("scrub.found", "repository=%s digest=%s kind=%s fate=%s why=%s", finding->name,
			digest, scrub_kind_name(finding->kind),
			log_quote(str_of(scrub_fate_name(finding->fate))), log_quote(str_of(finding->why)));
}

/* ---- the note ---- */

static void name_note(const struct scrub_chore *scrub, struct buf *into)
{
	buf_format(into, ".scrub.%s", scrub->member);
}

/* begun_s: of the last pass; `place` is there while it is under way. */
static void save(struct scrub_chore *scrub)
{
	AUTO_FINI(buf) text = buf_limit(NOTE_MAX);
	AUTO_FINI(buf) name = buf_limit(256);
	struct json_writer w = json_writer(&text);
	struct scrub_place place;
	struct error err;

	json_open_object(&w);
	json_put_int(&w, "begun", scrub->begun_s);
	if (scrub->scrub) {
		place = scrub_place_of(scrub->scrub);
		json_key(&w, STR("place"));
		scrub_place_write(&place, &w);
	}
	json_close_object(&w);
	name_note(scrub, &name);
	scrub->saved_ms = clock_ms();
	if (!store_note_put(scrub->registry->store, buf_str(&name), buf_str(&text), &err))
		log_warn("scrub.place", "error=%s what=\"a restart reads again what was read lately\"",
			log_quote(str_of(err.text)));
}

static bool parse(struct str text, int64_t *ret_begun_s, struct scrub_place *ret, bool *ret_placed)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *place;
	struct error ignored;

	if (!json_parse(text, &doc, &ignored) ||
		!json_get_int(json_find(json_root(doc), "begun"), ret_begun_s))
		return false;
	place = json_find(json_root(doc), "place");
	*ret_placed = place != NULL;
	return !place || scrub_place_read(place, ret);
}

/* False: the store cannot be asked now. */
static bool load(struct scrub_chore *scrub, struct scrub_place *ret, bool *ret_placed, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(NOTE_MAX);
	AUTO_FINI(buf) name = buf_limit(256);
	struct error why;

	*ret_placed = false;
	name_note(scrub, &name);
	if (!store_note_get(scrub->registry->store, buf_str(&name), &text, &why)) {
		scrub->loaded = why.kind == ERROR_UNKNOWN || why.kind == ERROR_TOO_LARGE;
		if (!scrub->loaded)
			*err = why;
		return scrub->loaded;
	}
	scrub->loaded = true;
	if (!parse(buf_str(&text), &scrub->begun_s, ret, ret_placed)) {
		log_warn("scrub.place", "what=\"the note says no place, a pass begins from the start\"");
		scrub->begun_s = 0;
		*ret_placed = false;
	}
	return true;
}

/* ---- what is told ---- */

static void add(struct scrub_counts *sum, const struct scrub_counts *more)
{
	sum->repositories += more->repositories;
	sum->blobs += more->blobs;
	sum->bytes += more->bytes;
	sum->vouched += more->vouched;
	sum->young += more->young;
	sum->aside += more->aside;
	sum->back += more->back;
	for (unsigned i = 0; i < SCRUB_KINDS; i++)
		sum->found[i] += more->found[i];
	sum->set_aside += more->set_aside;
	sum->healed += more->healed;
	sum->failed += more->failed;
}

static void publish(struct scrub_chore *scrub)
{
	struct scrub_counts sum = scrub->ended, now;

	if (scrub->scrub && !scrub->dry) {
		now = scrub_counts_of(scrub->scrub);
		add(&sum, &now);
	}
	lock_take(&scrub->lock);
	scrub->totals.counts = sum;
	scrub->totals.running = scrub->scrub && !scrub->dry;
	lock_drop(&scrub->lock);
}

struct scrub_totals scrub_told(struct scrub_chore *scrub)
{
	struct scrub_totals totals = { .passes = 0 };

	if (!scrub)
		return totals;
	lock_take(&scrub->lock);
	totals = scrub->totals;
	lock_drop(&scrub->lock);
	return totals;
}

static void log_pass(const struct scrub_chore *scrub, const struct scrub_counts *c)
{
	uint64_t found = 0;

	for (unsigned i = 0; i < SCRUB_KINDS; i++)
		found += c->found[i];
	log_info("scrub.done",
		"repositories=%" PRIu64 " blobs=%" PRIu64 " bytes=%" PRIu64 " by_checksum=%" PRIu64
		" young=%" PRIu64 " found=%" PRIu64 " rotten=%" PRIu64 " unreadable=%" PRIu64
		" missing=%" PRIu64 " size=%" PRIu64 " malformed=%" PRIu64 " index=%" PRIu64
		" set_aside=%" PRIu64 " healed=%" PRIu64 " still_aside=%" PRIu64 " failed=%" PRIu64
		" ms=%" PRId64 "%s",
		c->repositories, c->blobs, c->bytes, c->vouched, c->young, found, c->found[SCRUB_ROTTEN],
		c->found[SCRUB_UNREADABLE], c->found[SCRUB_MISSING], c->found[SCRUB_SIZE],
		c->found[SCRUB_MALFORMED], c->found[SCRUB_INDEX], c->set_aside, c->healed, c->aside,
		c->failed, clock_ms() - scrub->began_ms, scrub->dry ? " dry_run=true" : "");
}

/* ---- a pass ---- */

static void told(void *arg, const struct scrub_finding *finding)
{
	struct scrub_chore *scrub = arg;

	if (!scrub->dry || ++scrub->lines <= CHORE_WOULD_LINES)
		scrub_log(finding);
}

static bool is_ours(void *arg, struct str name)
{
	const struct scrub_chore *scrub = arg;

	return scrub->whose.is_ours(scrub->whose.arg, name);
}

static bool fetch(void *arg, struct str name, const struct digest *digest)
{
	const struct scrub_chore *scrub = arg;

	return scrub->fetch(scrub->arg, name, digest);
}

static void begin_pass(struct scrub_chore *scrub, const struct scrub_place *place, bool dry)
{
	const struct scrub_how how = { .dry_run = dry,
		.is_ours = is_ours,
		.fetch = scrub->fetch ? fetch : NULL,
		.told = told,
		.arg = scrub };

	scrub->dry = dry;
	scrub->lines = 0;
	scrub->shown = (struct scrub_counts){ 0 };
	if (!place && !dry)
		scrub->begun_s = clock_wall_s();
	scrub->scrub = scrub_new(scrub->registry, &how, place);
	scrub->began_ms = clock_ms();
	scrub_rate_init(&scrub->rate, scrub->bytes_per_s, scrub->began_ms);
	if (!dry)
		save(scrub);
}

static bool end_pass(struct scrub_chore *scrub, const struct pace *pace, struct error *err)
{
	const struct scrub_counts counts = scrub_counts_of(scrub->scrub);
	uint64_t trimmed;
	bool ok = !scrub_failed(scrub->scrub, err);

	log_pass(scrub, &counts);
	if (scrub->dry) {
		scrub_free(TAKE(scrub->scrub));
		return ok;
	}
	add(&scrub->ended, &counts);
	scrub_free(scrub->scrub);
	scrub->scrub = NULL;
	save(scrub);
	lock_take(&scrub->lock);
	scrub->totals.passes++;
	scrub->totals.ended_s = clock_wall_s();
	lock_drop(&scrub->lock);
	return store_aside_trim(scrub->registry->store, pace, &trimmed, ok ? err : NULL) && ok;
}

/* A clock that was set back is no reason to wait for ever. */
static bool is_due(const struct scrub_chore *scrub)
{
	int64_t since_s = clock_wall_s() - scrub->begun_s;

	return since_s < 0 || since_s * 1000 >= scrub->every_ms;
}

static bool begin(struct scrub_chore *scrub, struct chore_turn *turn, struct error *err)
{
	struct scrub_place place;
	bool placed = false;

	if (!scrub->whose.ring(scrub->whose.arg))
		return !chore_is_asked(turn) ||
		       chore_refuse(turn, err, "scrub: who owns which repository is not known yet");
	if (chore_is_dry(turn)) {
		begin_pass(scrub, NULL, true);
		return true;
	}
	if (!scrub->loaded && !load(scrub, &place, &placed, err))
		return false;
	if (placed || chore_is_asked(turn) || is_due(scrub))
		begin_pass(scrub, placed ? &place : NULL, false);
	return true;
}

/* Of the whole pass: a turn is a fifth of a second of it. */
/* What was set aside; in a dry run what would be. */
static uint64_t bad_of(const struct scrub_chore *scrub, const struct scrub_counts *counts)
{
	return scrub->dry ? counts->found[SCRUB_ROTTEN] + counts->found[SCRUB_UNREADABLE] : counts->set_aside;
}

static void show(struct scrub_chore *scrub, struct chore_turn *turn)
{
	const struct scrub_counts counts = scrub_counts_of(scrub->scrub);
	const struct scrub_place place = scrub_place_of(scrub->scrub);

	chore_works(turn, "blobs", 0);
	chore_takes(turn, str_of(place.name));
	chore_did(turn, counts.blobs);
	chore_counts(turn, bad_of(scrub, &counts) - bad_of(scrub, &scrub->shown),
		counts.bytes - scrub->shown.bytes);
	scrub->shown = counts;
}

/* Nothing more is read of it, and its place is given up: the next pass begins from the start, when it is due. */
static void give_up(void *arg)
{
	struct scrub_chore *scrub = arg;
	struct scrub_counts counts;

	if (!scrub->scrub)
		return;
	counts = scrub_counts_of(scrub->scrub);
	scrub_free(TAKE(scrub->scrub));
	if (!scrub->dry) {
		add(&scrub->ended, &counts);
		save(scrub);
	}
	publish(scrub);
}

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	struct scrub_chore *scrub = arg;
	const struct pace pace = chore_pace(turn);
	int64_t have;
	bool ok = true;

	if (!scrub->scrub && !begin(scrub, turn, err))
		return error_add(err, "scrub");
	if (!scrub->scrub)
		return true;
	have = scrub_rate_have(&scrub->rate, clock_ms());
	if (have > 0) {
		scrub_set_pace(scrub->scrub, &pace);
		scrub_rate_spend(&scrub->rate, scrub_go_on(scrub->scrub, (uint64_t)have));
		scrub_set_pace(scrub->scrub, NULL);
	}
	show(scrub, turn);
	if (scrub_is_over(scrub->scrub))
		ok = end_pass(scrub, &pace, err);
	else if (!scrub->dry && clock_ms() - scrub->saved_ms >= SCRUB_SAVE_MS)
		save(scrub);
	chore_goes_on(turn, scrub->scrub != NULL);
	publish(scrub);
	return ok || error_add(err, "scrub");
}

void scrub_chore_add(struct chores *chores, struct scrub_chore *scrub)
{
	lock_init(&scrub->lock);
	chores_add_dry(chores, &(struct chore){ .name = "scrub",
				       .every_ms = SCRUB_TURN_MS,
				       .run = run,
				       .arg = scrub,
				       .stopped = give_up });
}

void scrub_chore_fini(struct scrub_chore *scrub)
{
	if (scrub->scrub && !scrub->dry)
		save(scrub);
	scrub_free(scrub->scrub);
	lock_fini(&scrub->lock);
}
