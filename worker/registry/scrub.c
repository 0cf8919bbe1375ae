/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/scrub.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/json.h"
#include "worker/registry/absent_manifests.h"
#include "worker/registry/registry.h"
#include "worker/registry/scrub_priv.h"
#include "worker/storage/pace.h"

#define INDEX_BYTES ((size_t)1024 * 1024)
#define ENTRY_BYTES 512 /* of an index, about */

const char *scrub_kind_name(enum scrub_kind kind)
{
	static const char *const names[SCRUB_KINDS] = { "rotten", "unreadable", "missing", "size",
		"malformed", "index" };

	CHECK(kind < SCRUB_KINDS);
	return names[kind];
}

const char *scrub_fate_name(enum scrub_fate fate)
{
	static const char *const names[] = { "left", "set aside", "healed" };

	return names[fate];
}

/* ---- a place ---- */

void scrub_place_write(const struct scrub_place *place, struct json_writer *into)
{
	char text[DIGEST_TEXT_SIZE];

	json_open_object(into);
	json_put_text(into, "repository", place->name);
	if (place->in_blobs) {
		digest_format(&place->last, text);
		json_put_text(into, "blob", text);
	}
	json_close_object(into);
}

bool scrub_place_read(const struct json *node, struct scrub_place *ret)
{
	struct scrub_place place = { .name = "" };
	struct str name = STR_NONE, blob = STR_NONE;
	struct name valid;

	if (!json_get_str(json_find(node, "repository"), &name) ||
		(name.len && !name_parse(name, &valid, NULL)))
		return false;
	place.in_blobs = json_get_str(json_find(node, "blob"), &blob);
	if ((place.in_blobs && (!name.len || !digest_parse(blob, &place.last, NULL))) ||
		!str_copy(name, place.name, sizeof(place.name)))
		return false;
	*ret = place;
	return true;
}

/* ---- what it says ---- */

static struct str name_of(const struct scrub *scrub)
{
	return str_of(scrub->place.name);
}

void scrub_spend(struct scrub *scrub, uint64_t bytes)
{
	scrub->spent += bytes;
}

void scrub_tell(struct scrub *scrub, enum scrub_kind kind, enum scrub_fate fate, const struct digest *digest,
	const char *why, const char *from)
{
	const struct scrub_finding finding = { .kind = kind,
		.fate = fate,
		.name = scrub->place.name,
		.digest = digest,
		.why = why,
		.from = from };

	scrub->counts.found[kind]++;
	scrub->counts.set_aside += fate == SCRUB_SET_ASIDE;
	scrub->counts.healed += fate == SCRUB_HEALED;
	if (scrub->how.told)
		scrub->how.told(scrub->how.arg, &finding);
}

void scrub_note_failure(struct scrub *scrub, const struct error *err)
{
	scrub->counts.failed++;
	scrub->has_failed = true;
	scrub->failure = *err;
	(void)error_add(&scrub->failure, "repository %s", scrub->place.name);
}

bool scrub_is_ours(const struct scrub *scrub)
{
	return !scrub->how.is_ours || scrub->how.is_ours(scrub->how.arg, name_of(scrub));
}

/* ---- the catalog ---- */

static bool on_name(void *arg, struct str name)
{
	struct scrub *scrub = arg;
	struct name *into = &scrub->names[scrub->names_len];

	if (name_parse(name, into, NULL))
		scrub->names_len++;
	return scrub->names_len < SCRUB_PAGE;
}

/* False: there are no more. A catalog that can't be read ends the pass: the next one begins from the start. */
static bool list_names(struct scrub *scrub)
{
	struct error err;

	scrub->names_at = scrub->names_len = 0;
	scrub_spend(scrub, SCRUB_ASK);
	if (!store_catalog(scrub->registry->store, name_of(scrub), SCRUB_PAGE, on_name, scrub,
		    &scrub->names_more, &err)) {
		scrub_note_failure(scrub, &err);
		return false;
	}
	return scrub->names_len > 0;
}

static void next_name(struct scrub *scrub)
{
	if (scrub->names_at == scrub->names_len && !list_names(scrub)) {
		scrub->stage = SCRUB_OVER;
		return;
	}
	scrub->place = (struct scrub_place){ .name = "" };
	CHECK(str_copy(
		name_str(&scrub->names[scrub->names_at++]), scrub->place.name, sizeof(scrub->place.name)));
	if (scrub_is_ours(scrub))
		scrub->stage = SCRUB_OF_INDEX;
}

/* ---- the index ---- */

/* Who loads a log puts what is damaged aside, told in its log; here it is told until somebody has looked after it. */
static void look_for_scraps(struct scrub *scrub)
{
	AUTO_FINI(buf) scrap = buf_limit(256);
	struct error err;
	char why[384];

	if (!store_log_scrap(scrub->registry->store, name_of(scrub), &scrap, &err)) {
		scrub_note_failure(scrub, &err);
	} else if (scrap.len) {
		(void)snprintf(why, sizeof(why), "a part of its log could not be read, and lies in %s",
			buf_text(&scrap));
		scrub_tell(scrub, SCRUB_INDEX, SCRUB_LEFT, NULL, why, NULL);
	}
}

/* What is in memory is right whatever lies below, so it is read anew. */
static void read_index(struct scrub *scrub)
{
	struct registry *registry = scrub->registry;
	AUTO(indexes) *fresh = indexes_new(registry->store, registry->pool, NULL, NULL, INDEX_BYTES);
	struct error err;

	index_free(scrub->view);
	scrub->view = NULL;
	scrub->counts.repositories++;
	if (indexes_get(fresh, name_of(scrub), &scrub->view, &err))
		scrub_spend(scrub, SCRUB_ASK + (uint64_t)index_len(scrub->view) * ENTRY_BYTES);
	else if (err.kind == ERROR_UNAVAILABLE || err.kind == ERROR_BUSY || err.kind == ERROR_TIMEOUT)
		scrub_note_failure(scrub, &err);
	else if (err.kind != ERROR_UNKNOWN)
		scrub_tell(scrub, SCRUB_INDEX, SCRUB_LEFT, NULL, err.text, NULL);
	look_for_scraps(scrub);
	scrub->digests_at = scrub->digests_len = 0;
	scrub->digests_more = true;
	scrub->stage = SCRUB_BLOBS;
}

/* ---- blobs ---- */

static bool on_object(void *arg, const struct store_object *object)
{
	struct scrub *scrub = arg;

	scrub->digests[scrub->digests_len++] = object->digest;
	return scrub->digests_len < SCRUB_PAGE;
}

static bool list_digests(struct scrub *scrub)
{
	struct error err;

	scrub->digests_at = scrub->digests_len = 0;
	if (!scrub->digests_more)
		return false;
	scrub_spend(scrub, SCRUB_ASK);
	if (!store_objects(scrub->registry->store, name_of(scrub),
		    scrub->place.in_blobs ? &scrub->place.last : NULL, SCRUB_PAGE, on_object, scrub,
		    &scrub->digests_more, &err)) {
		scrub_note_failure(scrub, &err);
		return false;
	}
	return scrub->digests_len > 0;
}

static void end_blob(struct scrub *scrub)
{
	store_reading_free(scrub->reading);
	hasher_free(scrub->hasher);
	scrub->reading = NULL;
	scrub->hasher = NULL;
	scrub->second = false;
	scrub->place.in_blobs = true;
	scrub->place.last = scrub->digests[scrub->digests_at++];
}

static void begin_hash(struct scrub *scrub)
{
	hasher_free(scrub->hasher);
	scrub->hasher = hasher_new(scrub->digests[scrub->digests_at].alg);
}

/* Others may be at it still, in place; an object of a bucket is whole, or none. */
static bool is_young(const struct scrub *scrub)
{
	const struct store *store = scrub->registry->store;

	return !scrub->reading->aside && store_has_files(store, name_of(scrub)) &&
	       scrub->reading->written_s > store_clock_s(store, name_of(scrub)) - SCRUB_YOUNG_S;
}

static void begin_blob(struct scrub *scrub)
{
	const struct digest *digest = &scrub->digests[scrub->digests_at];
	struct error err;

	scrub_spend(scrub, SCRUB_ASK);
	if (!store_reading_new(scrub->registry->store, name_of(scrub), digest, &scrub->reading, &err)) {
		if (err.kind != ERROR_UNKNOWN)
			scrub_note_failure(scrub, &err);
		scrub->place.in_blobs = true;
		scrub->place.last = scrub->digests[scrub->digests_at++];
		return;
	}
	scrub->counts.blobs++;
	if (scrub->reading->vouched) {
		scrub->counts.vouched++;
		end_blob(scrub);
	} else if (is_young(scrub)) {
		scrub->counts.young++;
		end_blob(scrub);
	} else {
		begin_hash(scrub);
	}
}

/* ---- what is wrong with one ---- */

static enum scrub_fate heal(struct scrub *scrub, enum scrub_fate otherwise, const char **ret_from)
{
	const struct digest *digest = &scrub->digests[scrub->digests_at];

	if (scrub_heal(scrub, digest, ret_from))
		return SCRUB_HEALED;
	if (scrub->view && index_find_digest(scrub->view, digest))
		absent_manifests_add(scrub->registry->absent, digest);
	return otherwise;
}

/* It was pushed, moved or removed meanwhile: nothing is wrong any more. */
static bool is_another(const struct error *err)
{
	return err->kind == ERROR_CONFLICT || err->kind == ERROR_UNKNOWN;
}

static void treat(struct scrub *scrub, enum scrub_kind kind, const char *why)
{
	const struct digest *digest = &scrub->digests[scrub->digests_at];
	enum scrub_fate fate = SCRUB_LEFT;
	const char *from = NULL;
	struct error err;

	if (scrub->how.dry_run || !scrub_is_ours(scrub)) {
		scrub_tell(scrub, kind, SCRUB_LEFT, digest, why, NULL);
		return;
	}
	if (store_reading_set_aside(scrub->reading, true, &err))
		fate = heal(scrub, SCRUB_SET_ASIDE, &from);
	else if (is_another(&err))
		return;
	else
		scrub_note_failure(scrub, &err);
	scrub_tell(scrub, kind, fate, digest, why, from);
}

static void treat_again(struct scrub *scrub)
{
	const char *from = NULL;

	scrub->counts.aside++;
	if (scrub->how.dry_run || !scrub_is_ours(scrub) || heal(scrub, SCRUB_LEFT, &from) != SCRUB_HEALED)
		return;
	scrub->counts.aside--;
	scrub_tell(scrub, SCRUB_ROTTEN, SCRUB_HEALED, &scrub->digests[scrub->digests_at],
		"it was set aside before", from);
}

/* Somebody restored its bytes in its place. */
static void take_back(struct scrub *scrub)
{
	struct error err;

	if (scrub->how.dry_run)
		return;
	if (store_reading_set_aside(scrub->reading, false, &err))
		scrub->counts.back++;
	else if (!is_another(&err))
		scrub_note_failure(scrub, &err);
}

static void judge(struct scrub *scrub)
{
	const struct digest *digest = &scrub->digests[scrub->digests_at];
	struct digest found = digest_of_hasher(digest->alg, scrub->hasher);
	bool same = digest_equal(&found, digest);

	if (!same && !scrub->second) {
		scrub->second = true;
		store_reading_again(scrub->reading);
		begin_hash(scrub);
		return;
	}
	if (scrub->reading->aside)
		same ? take_back(scrub) : treat_again(scrub);
	else if (!same)
		treat(scrub, SCRUB_ROTTEN, "its bytes have another digest");
	end_blob(scrub);
}

static void read_piece(struct scrub *scrub)
{
	struct error err;
	size_t len = 0;

	if (!store_reading_next(scrub->reading, scrub->piece, SCRUB_PIECE, &len, &err)) {
		/* EIO of a disk; a bucket that is away says nothing of a blob. */
		if (err.sys && !is_another(&err))
			treat(scrub, SCRUB_UNREADABLE, err.text);
		else if (!is_another(&err))
			scrub_note_failure(scrub, &err);
		end_blob(scrub);
		return;
	}
	hasher_add(scrub->hasher, scrub->piece, len);
	scrub->counts.bytes += len;
	scrub_spend(scrub, len);
	if (len < SCRUB_PIECE)
		judge(scrub);
}

static void go_on_with_blobs(struct scrub *scrub)
{
	if (scrub->reading)
		read_piece(scrub);
	else if (scrub->digests_at < scrub->digests_len || list_digests(scrub))
		begin_blob(scrub);
	else {
		scrub->manifest_at = 0;
		live_set_clear(scrub->asked);
		scrub->stage = SCRUB_MANIFESTS;
	}
}

/* ---- the whole ---- */

static void step(struct scrub *scrub)
{
	switch (scrub->stage) {
	case SCRUB_NAMES:
		next_name(scrub);
		break;
	case SCRUB_OF_INDEX:
		read_index(scrub);
		break;
	case SCRUB_BLOBS:
		go_on_with_blobs(scrub);
		break;
	case SCRUB_MANIFESTS:
		if (!scrub->view || !scrub_manifest(scrub))
			scrub->stage = SCRUB_NAMES;
		break;
	case SCRUB_OVER:
		break;
	}
}

struct scrub *scrub_new(
	struct registry *registry, const struct scrub_how *how, const struct scrub_place *place)
{
	struct scrub *scrub = xnew(struct scrub);

	scrub->registry = registry;
	scrub->how = *how;
	scrub->asked = live_set_new(LIVE_SET_MAX);
	scrub->piece = xnew_array(char, SCRUB_PIECE);
	if (place && place->name[0]) {
		scrub->place = *place;
		scrub->stage = scrub_is_ours(scrub) ? SCRUB_OF_INDEX : SCRUB_NAMES;
	}
	return scrub;
}

void scrub_free(struct scrub *scrub)
{
	if (!scrub)
		return;
	store_reading_free(scrub->reading);
	hasher_free(scrub->hasher);
	index_free(scrub->view);
	live_set_free(scrub->asked);
	free(scrub->piece);
	free(scrub);
}

void scrub_set_pace(struct scrub *scrub, const struct pace *pace)
{
	scrub->how.pace = pace;
}

uint64_t scrub_go_on(struct scrub *scrub, uint64_t bytes)
{
	scrub->spent = 0;
	while (scrub->stage != SCRUB_OVER && scrub->spent < bytes && pace_go_on(scrub->how.pace))
		step(scrub);
	return scrub->spent;
}

bool scrub_is_over(const struct scrub *scrub)
{
	return scrub->stage == SCRUB_OVER;
}

struct scrub_place scrub_place_of(const struct scrub *scrub)
{
	return scrub->place;
}

struct scrub_counts scrub_counts_of(const struct scrub *scrub)
{
	return scrub->counts;
}

bool scrub_failed(const struct scrub *scrub, struct error *ret)
{
	if (scrub->has_failed)
		*ret = scrub->failure;
	return scrub->has_failed;
}
