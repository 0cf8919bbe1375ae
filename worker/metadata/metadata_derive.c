/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata_derive - one repository: its index beside its rows, and what is new is read.
 *
 *     manifests that have no row are read, some at a time become rows, marked `fresh`
 *     then in one piece: rows of what is gone go; what fresh and gone ones mean for others is followed (indexes of their members, images of their
 *     signatures); tags that differ, or whose image may, are written, some at a time; at last the stamp, and the list
 *
 * Whatever ends it early, the next run goes on from there: the stamp is old, and what is fresh is still marked so.
 */
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/least.h"
#include "worker/metadata/metadata_priv.h"
#include "worker/storage/pace.h"
#include "worker/storage/store.h"

#define BATCH_MANIFESTS 32u
#define BATCH_TAGS      256u
#define BATCH_BYTES     ((size_t)1024 * 1024)
#define LARGE           1000u /* manifests: from here on a repository is weighed once a minute */
#define WEIGH_MS        60000
#define SCRATCH_MAX     (8 * IMAGE_FACTS_ARENA)

/* What a row of a manifest was, and whether the index still lists it. */
struct known {
	int64_t id;
	struct digest digest;
	bool listed;
	uint64_t pulls;
	int64_t pulled_ms, pushed_ms;
};

struct run {
	struct metadata *md;
	struct str name;
	const struct pace *pace;
	struct index *view;
	int64_t id; /* of the repository's row */
	struct known *known;
	size_t known_len;
	struct map *by_digest; /* digest -> struct known */
	const struct index_entry **fresh;
	size_t fresh_len;
	struct map *dirty; /* ids of manifests whose images are to be looked at anew */
	const char **tags; /* that are to be written, borrowed from the view or of `texts` */
	size_t tags_len, tags_room;
	struct map *tags_seen;
	struct arena texts;
	uint64_t rebuilt; /* of which file the ids are */
	bool over;        /* the pace said so */
	uint64_t read;
};

static void run_fini(struct run *run)
{
	index_free(run->view);
	free(run->known);
	map_free(run->by_digest);
	free(run->fresh);
	map_free(run->dirty);
	free(run->tags);
	map_free(run->tags_seen);
	arena_fini(&run->texts);
}

static bool may_go_on(struct run *run)
{
	run->over = run->over || !pace_go_on(run->pace);
	return !run->over;
}

bool metadata_owns(const struct metadata *md, struct str name)
{
	return md->settings.owns(md->settings.arg, name);
}

/* ---- what there is ---- */

static bool make_repository(struct run *run, struct error *err)
{
	struct sql q = sql_of(run->md->db,
		"INSERT INTO repository (name, generation, at, object, changes, size, vendors) "
		"VALUES (?, '', 0, '', 0, 0, '') ON CONFLICT (name) DO UPDATE SET name = excluded.name "
		"RETURNING id");

	sql_str(&q, run->name);
	while (sql_next(&q))
		run->id = sql_column_int(&q, 0);
	return sql_end(&q, err);
}

static bool load_known(struct run *run, struct error *err)
{
	struct sql q = sql_of(run->md->db,
		"SELECT id, digest, pulls, pulled_ms, pushed_ms FROM manifest WHERE repository = ?");
	size_t room = 0;
	bool good = true;

	sql_int(&q, run->id);
	while (good && sql_next(&q)) {
		struct known *one;

		if (run->known_len == room) {
			room = room ? 2 * room : 64;
			run->known = realloc(run->known, room * sizeof(*run->known));
			CHECK(run->known);
		}
		one = &run->known[run->known_len++];
		*one = (struct known){ .id = sql_column_int(&q, 0),
			.pulls = sql_column_count(&q, 2),
			.pulled_ms = sql_column_int(&q, 3),
			.pushed_ms = sql_column_int(&q, 4) };
		good = metadata_digest_of_raw(sql_column_bytes(&q, 1), &one->digest);
	}
	return sql_end(&q, err) && (good || error_set(err, ERROR_INVALID, NULL, "a row is damaged"));
}

static void compare_with_view(struct run *run)
{
	run->by_digest = map_new();
	for (size_t i = 0; i < run->known_len; i++)
		(void)map_put(run->by_digest, metadata_digest_raw(&run->known[i].digest), &run->known[i]);
	run->fresh = xnew_array(const struct index_entry *, index_len(run->view) + 1);
	for (size_t i = 0; i < index_len(run->view); i++) {
		const struct index_entry *entry = index_at(run->view, i);
		struct known *one = map_find(run->by_digest, metadata_digest_raw(&entry->descriptor.digest));

		if (one)
			one->listed = true;
		else
			run->fresh[run->fresh_len++] = entry;
	}
}

/* ---- reading ---- */

struct fresh_row {
	const struct index_entry *entry;
	struct image_facts facts;
	bool has_facts;
};

static enum image_config read_config(
	struct run *run, const struct manifest *manifest, struct buf *into, struct error *err, bool *ret_ok)
{
	struct error why;

	*ret_ok = true;
	if (!manifest->has_config || !image_config_is_one(manifest->config.media_type))
		return IMAGE_CONFIG_NONE;
	if (manifest->config.size > IMAGE_CONFIG_MAX)
		return IMAGE_CONFIG_TOO_LARGE;
	if (store_blob_get(
		    run->md->settings.registry->store, run->name, &manifest->config.digest, into, &why))
		return IMAGE_CONFIG_READ;
	if (why.kind == ERROR_UNKNOWN)
		return IMAGE_CONFIG_ABSENT;
	if (why.kind == ERROR_TOO_LARGE)
		return IMAGE_CONFIG_TOO_LARGE;
	*ret_ok = error_set(err, why.kind, NULL, "config: %s", why.text);
	return IMAGE_CONFIG_ABSENT;
}

static void count_skipped(struct run *run)
{
	__atomic_add_fetch(&run->md->counts.skipped, 1, __ATOMIC_RELAXED);
}

static bool read_facts(struct run *run, const struct manifest *manifest, uint64_t size, struct arena *arena,
	struct fresh_row *row, struct error *err)
{
	AUTO_FINI(buf) config = buf_limit(IMAGE_CONFIG_MAX);
	bool ok;
	enum image_config state = read_config(run, manifest, &config, err, &ok);
	struct str text = state == IMAGE_CONFIG_READ ? str_of(buf_text(&config)) : STR_NONE;

	if (state == IMAGE_CONFIG_READ)
		text = str_from(buf_text(&config), config.len);
	row->has_facts = ok && image_facts_parse(manifest, size, text, state, arena, &row->facts, err);
	if (row->has_facts && row->facts.config > IMAGE_CONFIG_READ)
		count_skipped(run);
	return row->has_facts;
}

/* False: the store cannot be asked now, or there is no memory for it now. What is broken has no facts. */
static bool read_manifest(struct run *run, struct arena *arena, struct fresh_row *row, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(MANIFEST_MAX);
	const struct descriptor *descriptor = &row->entry->descriptor;
	struct manifest manifest;
	struct error why = { .text = "" };
	bool ok;

	run->read++;
	if (!registry_manifest_read(
		    run->md->settings.registry, run->name, &descriptor->digest, &bytes, &why) ||
		!manifest_parse(str_from(buf_text(&bytes), bytes.len), str_of(descriptor->media_type), true,
			&manifest, &why)) {
		if (why.kind == ERROR_UNAVAILABLE || why.kind == ERROR_BUSY || why.kind == ERROR_TIMEOUT)
			return error_set(err, why.kind, NULL, "%s", why.text);
		count_skipped(run);
		return true;
	}
	ok = read_facts(run, &manifest, bytes.len, arena, row, err);
	manifest_fini(&manifest);
	return ok;
}

/* ---- rows of what is fresh ---- */

static void put_number(struct buf *into, uint64_t n)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(n >> (56 - 8 * i));
	buf_append(into, bytes, sizeof(bytes));
}

static uint64_t get_number(const char *at)
{
	uint64_t n = 0;

	for (size_t i = 0; i < 8; i++)
		n = n << 8 | (uint8_t)at[i];
	return n;
}

static void put_blob(struct buf *into, const struct digest *digest, uint64_t size)
{
	put_number(into, (uint64_t)metadata_head(digest));
	put_number(into, size);
}

#define BLOBS_MAX ((MANIFEST_DESCRIPTORS_MAX + 2) * 16u)

static bool put_content(struct metadata *md, int64_t head, int64_t manifest, struct error *err)
{
	struct sql q = sql_of(md->db, "INSERT OR IGNORE INTO content VALUES (?, ?)");

	sql_int(&q, head);
	sql_int(&q, manifest);
	return sql_run(&q, err);
}

static bool put_contents(
	struct run *run, int64_t id, const struct digest *digest, struct str blobs, struct error *err)
{
	bool ok = put_content(run->md, metadata_head(digest), id, err);

	for (size_t at = 0; ok && at < blobs.len; at += 16)
		ok = put_content(run->md, (int64_t)get_number(blobs.at + at), id, err);
	return ok;
}

static bool delete_head(struct metadata *md, int64_t head, int64_t manifest, struct error *err)
{
	struct sql q = sql_of(md->db, "DELETE FROM content WHERE head = ? AND manifest = ?");

	sql_int(&q, head);
	sql_int(&q, manifest);
	return sql_run(&q, err);
}

bool metadata_delete_content_locked(
	struct metadata *md, int64_t manifest, struct str digest, struct str blobs, struct error *err)
{
	struct digest own;
	bool ok = metadata_digest_of_raw(digest, &own)
			  ? delete_head(md, metadata_head(&own), manifest, err)
			  : error_set(err, ERROR_INVALID, NULL, "a row is damaged");

	for (size_t at = 0; ok && at + 16 <= blobs.len; at += 16)
		ok = delete_head(md, (int64_t)get_number(blobs.at + at), manifest, err);
	return ok;
}

static bool put_members(struct run *run, int64_t id, const struct image_facts *facts, struct error *err)
{
	bool ok = true;

	for (size_t i = 0; ok && i < facts->members_len; i++) {
		struct sql q = sql_of(run->md->db, "INSERT OR IGNORE INTO member VALUES (?, ?, ?)");

		sql_int(&q, run->id);
		sql_bytes(&q, metadata_digest_raw(&facts->members[i].digest));
		sql_int(&q, id);
		ok = sql_run(&q, err);
	}
	return ok;
}

static void describe(const struct fresh_row *row, struct buf *chain, struct buf *blobs, struct buf *facts)
{
	const struct image_facts *f = &row->facts;

	if (!row->has_facts)
		return;
	for (size_t i = 0; i < f->layers_len; i++) {
		put_number(chain, (uint64_t)metadata_head(&f->layers[i].digest));
		put_blob(blobs, &f->layers[i].digest, f->layers[i].size);
	}
	if (f->has_config)
		put_blob(blobs, &f->config_digest, f->config_size);
	image_facts_encode(f, facts);
}

static const char *text_or_none(const char *text)
{
	return text ? text : "";
}

static bool insert(struct run *run, const struct fresh_row *row, int64_t *ret_id, struct str chain,
	struct str blobs, struct str facts, struct error *err)
{
	const struct descriptor *d = &row->entry->descriptor;
	const struct digest *subject = row->has_facts && row->facts.has_subject ? &row->facts.subject
				       : d->has_subject                         ? &d->subject
										: NULL;
	const char *type = text_or_none(row->has_facts ? row->facts.artifact_type : d->artifact_type);
	const char *media_type = image_media_type(text_or_none(d->media_type));
	struct index_stats stats = { .pushed_by = "" };
	struct sql q = sql_of(run->md->db,
		"INSERT INTO manifest (repository, digest, kind, media_type, artifact_type, size, pulls, "
		"pulled_ms, pushed_ms, "
		"pushed_by, subject, signs, layers, fresh, chain, blobs, facts) "
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?) RETURNING id");

	(void)!index_digest_stats(run->view, &d->digest, &stats);
	sql_int(&q, run->id);
	sql_bytes(&q, metadata_digest_raw(&d->digest));
	sql_int(&q, row->has_facts && row->facts.kind == MANIFEST_INDEX);
	sql_text(&q, media_type);
	sql_text(&q, type);
	sql_count(&q, d->size);
	sql_count(&q, stats.pulls);
	sql_int(&q, stats.pulled_ms);
	sql_int(&q, stats.pushed_ms);
	sql_text(&q, text_or_none(stats.pushed_by));
	if (subject)
		sql_bytes(&q, metadata_digest_raw(subject));
	else
		sql_text(&q, NULL);
	sql_int(&q, subject ? metadata_signs(type) : SIGNS_NOT);
	sql_count(&q, row->has_facts ? row->facts.layers_len : 0);
	if (chain.len)
		sql_bytes(&q, chain);
	else
		sql_text(&q, NULL);
	sql_bytes(&q, blobs);
	if (facts.len)
		sql_bytes(&q, facts);
	else
		sql_text(&q, NULL);
	while (sql_next(&q))
		*ret_id = sql_column_int(&q, 0);
	return sql_end(&q, err);
}

static bool put_row(struct run *run, const struct fresh_row *row, struct error *err)
{
	AUTO_FINI(buf) chain = buf_limit(BLOBS_MAX);
	AUTO_FINI(buf) blobs = buf_limit(BLOBS_MAX);
	AUTO_FINI(buf) facts = buf_limit(IMAGE_FACTS_STORED_MAX);
	int64_t id = 0;

	describe(row, &chain, &blobs, &facts);
	return buf_check(&facts, "facts", err) &&
	       insert(run, row, &id, buf_str(&chain), buf_str(&blobs), buf_str(&facts), err) &&
	       put_contents(run, id, &row->entry->descriptor.digest, buf_str(&blobs), err) &&
	       (!row->has_facts || put_members(run, id, &row->facts, err));
}

/* Some statements that are made together or not at all. A file that fails is made anew; what is known of the old one's rows is nothing then. */
typedef bool step_f(struct run *run, void *arg, struct error *err);
static bool run_step(struct run *run, step_f *fn, void *arg, struct error *err)
{
	struct metadata *md = run->md;

	if (!md->db || md->rebuilt != run->rebuilt)
		return error_set(err, ERROR_UNAVAILABLE, NULL, "the file was removed meanwhile");
	if (!sqlite_begin(md->db, err))
		return false;
	if (fn(run, arg, err))
		return sqlite_commit(md->db, err);
	sqlite_rollback(md->db);
	return false;
}

static bool all_or_none(struct run *run, step_f *fn, void *arg, struct error *err)
{
	struct metadata *md = run->md;
	struct error why = { .text = "" };
	bool ok;

	lock_take(&md->lock);
	ok = run_step(run, fn, arg, &why);
	if (!ok && md->rebuilt == run->rebuilt && why.kind != ERROR_FULL && why.kind != ERROR_TOO_LARGE)
		metadata_file_broke_locked(md, &why);
	lock_drop(&md->lock);
	return ok || error_set(err, why.kind, NULL, "%s", why.text);
}

struct batch {
	struct fresh_row rows[BATCH_MANIFESTS];
	size_t len;
};

static bool put_batch(struct run *run, void *arg, struct error *err)
{
	const struct batch *batch = arg;
	bool ok = true;

	for (size_t i = 0; ok && i < batch->len; i++)
		ok = put_row(run, &batch->rows[i], err);
	return ok;
}

/* From `at` on, until it is enough for once. */
static bool read_batch(struct run *run, size_t *at, struct error *err)
{
	AUTO_FINI(arena) arena = arena_limit(SCRATCH_MAX);
	struct batch batch = { .len = 0 };
	bool ok = true;

	while (ok && batch.len < BATCH_MANIFESTS && *at < run->fresh_len && arena.taken < BATCH_BYTES &&
		may_go_on(run)) {
		batch.rows[batch.len] = (struct fresh_row){ .entry = run->fresh[*at] };
		ok = read_manifest(run, &arena, &batch.rows[batch.len], err);
		batch.len += ok;
		*at += ok;
	}
	return all_or_none(run, put_batch, &batch, ok ? err : NULL) && ok;
}

/* ---- what follows ---- */

static void mark(struct run *run, int64_t id)
{
	(void)map_put(run->dirty, str_from((const char *)&id, sizeof(id)), run->dirty);
}

static bool mark_digest(struct run *run, struct str raw, struct error *err)
{
	struct sql q = sql_of(run->md->db, "SELECT id FROM manifest WHERE repository = ? AND digest = ?");

	sql_int(&q, run->id);
	sql_bytes(&q, raw);
	while (sql_next(&q))
		mark(run, sql_column_int(&q, 0));
	return sql_end(&q, err);
}

static bool mark_parents(struct run *run, struct str raw, struct error *err)
{
	struct sql q = sql_of(run->md->db, "SELECT parent FROM member WHERE repository = ? AND child = ?");

	sql_int(&q, run->id);
	sql_bytes(&q, raw);
	while (sql_next(&q))
		mark(run, sql_column_int(&q, 0));
	return sql_end(&q, err);
}

/* A manifest came or went: itself, indexes that have it, and what it signs. */
static bool mark_around(struct run *run, int64_t id, struct str raw, struct str subject, struct error *err)
{
	mark(run, id);
	return mark_parents(run, raw, err) && (!subject.len || mark_digest(run, subject, err));
}

static bool mark_fresh(struct run *run, struct error *err)
{
	struct sql q = sql_of(run->md->db,
		"SELECT id, digest, subject FROM manifest WHERE repository = ? AND fresh IS NOT NULL");
	bool ok = true;

	sql_int(&q, run->id);
	while (ok && sql_next(&q))
		ok = mark_around(
			run, sql_column_int(&q, 0), sql_column_bytes(&q, 1), sql_column_bytes(&q, 2), err);
	return sql_end(&q, ok ? err : NULL) && ok;
}

static bool remove_manifest(struct run *run, int64_t id, struct error *err)
{
	struct metadata *md = run->md;
	struct sql q = sql_of(md->db, "SELECT digest, subject, blobs FROM manifest WHERE id = ?");
	struct sql members = sql_of(md->db, "DELETE FROM member WHERE repository = ? AND parent = ?");
	struct sql proven = sql_of(md->db, "DELETE FROM signature WHERE manifest = ?");
	struct sql row = sql_of(md->db, "DELETE FROM manifest WHERE id = ?");
	bool ok = true;

	sql_int(&q, id);
	while (ok && sql_next(&q))
		ok = mark_around(run, id, sql_column_bytes(&q, 0), sql_column_bytes(&q, 1), err) &&
		     metadata_delete_content_locked(
			     md, id, sql_column_bytes(&q, 0), sql_column_bytes(&q, 2), err);
	if (!sql_end(&q, ok ? err : NULL) || !ok)
		return false;
	sql_int(&members, run->id);
	sql_int(&members, id);
	sql_int(&proven, id);
	sql_int(&row, id);
	return sql_run(&members, err) && sql_run(&proven, err) && sql_run(&row, err);
}

static bool update_stats(struct run *run, const struct known *one, struct error *err)
{
	struct index_stats stats;
	struct sql q = sql_of(run->md->db,
		"UPDATE manifest SET pulls = ?, pulled_ms = ?, pushed_ms = ?, pushed_by = ? WHERE id = ?");

	if (!index_digest_stats(run->view, &one->digest, &stats) ||
		(stats.pulls == one->pulls && stats.pulled_ms == one->pulled_ms &&
			stats.pushed_ms == one->pushed_ms)) {
		(void)!sql_end(&q, NULL);
		return true;
	}
	sql_count(&q, stats.pulls);
	sql_int(&q, stats.pulled_ms);
	sql_int(&q, stats.pushed_ms);
	sql_text(&q, text_or_none(stats.pushed_by));
	sql_int(&q, one->id);
	return sql_run(&q, err);
}

/* Rows of manifests are as the index says. Tags may still name what went, until they are written. */
static bool settle_manifests(struct run *run, struct error *err)
{
	bool ok = mark_fresh(run, err);

	for (size_t i = 0; ok && i < run->known_len; i++)
		ok = run->known[i].listed ? update_stats(run, &run->known[i], err)
					  : remove_manifest(run, run->known[i].id, err);
	return ok;
}

/* ---- tags ---- */

static void want_tag(struct run *run, const char *tag)
{
	if (map_put(run->tags_seen, str_of(tag), run))
		return;
	if (run->tags_len == run->tags_room) {
		run->tags_room = run->tags_room ? 2 * run->tags_room : 64;
		run->tags = realloc(run->tags, run->tags_room * sizeof(*run->tags));
		CHECK(run->tags);
	}
	run->tags[run->tags_len++] = tag;
}

/* Signatures by cosign's rule: what one is of may be signed now, or not any more. */
static bool want_changed(struct run *run, const char *tag, struct error *err)
{
	struct digest subject;

	want_tag(run, tag);
	return !metadata_tag_signs(str_of(tag), &subject) ||
	       mark_digest(run, metadata_digest_raw(&subject), err);
}

static bool differs(struct run *run, const char *tag, struct sql *row)
{
	const struct index_entry *entry = index_find_tag(run->view, str_of(tag));
	struct index_stats stats = { .pushed_ms = 0 };

	(void)!index_tag_stats(run->view, str_of(tag), &stats);
	return !str_equal(sql_column_bytes(row, 2), metadata_digest_raw(&entry->descriptor.digest)) ||
	       sql_column_int(row, 3) != stats.pushed_ms;
}

/* Both are in byte order. */
static bool compare_tags(struct run *run, struct error *err)
{
	struct sql q = sql_of(run->md->db, "SELECT t.name, t.manifest, m.digest, t.tagged_ms FROM tag t LEFT "
					   "JOIN manifest m ON m.id = t.manifest "
					   "WHERE t.repository = ? ORDER BY t.name");
	size_t at = 0, len = index_tags_len(run->view);
	bool ok = true;

	sql_int(&q, run->id);
	while (ok && sql_next(&q)) {
		struct str name = sql_column_bytes(&q, 0);
		int order = 1;

		while (ok && at < len && (order = str_compare(str_of(index_tag_at(run->view, at)), name)) < 0)
			ok = want_changed(run, index_tag_at(run->view, at++), err);
		if (at < len && order == 0) {
			if (ok && differs(run, index_tag_at(run->view, at), &q))
				ok = want_changed(run, index_tag_at(run->view, at), err);
			at++;
		} else if (ok) {
			const char *gone = arena_text(&run->texts, name);

			ok = gone ? want_changed(run, gone, err)
				  : error_set(err, ERROR_TOO_LARGE, NULL, "too many tags went at once");
		}
	}
	for (; ok && at < len; at++)
		ok = want_changed(run, index_tag_at(run->view, at), err);
	return sql_end(&q, ok ? err : NULL) && ok;
}

static bool want_dirty(struct run *run, int64_t manifest, struct error *err)
{
	struct sql q = sql_of(run->md->db, "SELECT name FROM tag WHERE manifest = ?");
	bool ok = true;

	sql_int(&q, manifest);
	while (ok && sql_next(&q)) {
		const char *tag = arena_text(&run->texts, sql_column_bytes(&q, 0));

		ok = tag || error_set(err, ERROR_TOO_LARGE, NULL, "too many tags changed at once");
		if (ok)
			want_tag(run, tag);
	}
	return sql_end(&q, ok ? err : NULL) && ok;
}

/* Who goes on after an early end finds it so. */
static bool keep_dirty(struct run *run, int64_t manifest, struct error *err)
{
	struct sql q = sql_of(run->md->db, "UPDATE manifest SET fresh = 1 WHERE id = ?");

	sql_int(&q, manifest);
	return sql_run(&q, err);
}

/* Which tags are to be written. */
static bool settle(struct run *run, void *arg, struct error *err)
{
	bool ok = settle_manifests(run, err) && compare_tags(run, err);
	struct str key;
	int64_t id;
	void *ignored;

	(void)arg;
	for (size_t at = 0; ok && map_next(run->dirty, &at, &key, &ignored);) {
		memcpy(&id, key.at, sizeof(id));
		ok = want_dirty(run, id, err) && keep_dirty(run, id, err);
	}
	return ok;
}

/* What lists are sorted by. */
struct image {
	int64_t updated_ms;
	bool is_signed;
	struct buf platforms;
	const char *vendor;
	unsigned platforms_len;
};

static void add_platform(struct image *image, const struct image_facts *facts)
{
	size_t len = image->platforms.len;
	char line[600];

	if (!*facts->os && !*facts->arch)
		return;
	(void)snprintf(line, sizeof(line), "%s/%s", facts->os, facts->arch);
	for (struct str rest = buf_str(&image->platforms), one; str_next(&rest, '\n', &one);)
		if (str_is(one, line))
			return;
	if (len + strlen(line) + 1 > PLATFORMS_TEXT_MAX)
		return;
	buf_format(&image->platforms, "%s%s", len ? "\n" : "", line);
}

static bool add_member(struct run *run, const struct digest *digest, struct arena *arena, struct image *image,
	int64_t *latest, struct error *err)
{
	AUTO_FINI(arena) scratch = arena_limit(2 * IMAGE_FACTS_ARENA);
	struct manifest_row row;
	bool found = false;

	if (!metadata_row_by_digest_locked(run->md, run->id, digest, &scratch, &row, &found, err))
		return false;
	if (!found || !row.has_facts)
		return true;
	add_platform(image, &row.facts);
	if (row.facts.created_ms > *latest)
		*latest = row.facts.created_ms;
	if (!*image->vendor && *row.facts.vendor)
		image->vendor = arena_text(arena, str_of(row.facts.vendor));
	return image->vendor || error_set(err, ERROR_TOO_LARGE, NULL, "a row does not fit");
}

static bool add_members(struct run *run, const struct image_facts *index, struct arena *arena,
	struct image *image, struct error *err)
{
	int64_t latest = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < index->members_len; i++)
		ok = add_member(run, &index->members[i].digest, arena, image, &latest, err);
	if (!image->updated_ms)
		image->updated_ms = latest;
	return ok;
}

static bool look_at_image(struct run *run, const struct manifest_row *row, struct arena *arena,
	struct image *image, struct error *err)
{
	image->vendor = "";
	if (row->has_facts) {
		image->updated_ms = row->facts.created_ms;
		image->vendor = row->facts.vendor;
		add_platform(image, &row->facts);
	}
	return metadata_is_signed_locked(run->md, run->id, &row->digest, &image->is_signed, err) &&
	       (!row->has_facts || row->kind != MANIFEST_INDEX ||
		       add_members(run, &row->facts, arena, image, err));
}

static bool delete_tag(struct run *run, const char *tag, struct error *err)
{
	struct sql q = sql_of(run->md->db, "DELETE FROM tag WHERE repository = ? AND name = ?");

	sql_int(&q, run->id);
	sql_text(&q, tag);
	return sql_run(&q, err);
}

static bool put_tag(struct run *run, const char *tag, const struct manifest_row *row, struct arena *arena,
	struct error *err)
{
	AUTO_FINI(buf) platforms = buf_limit(PLATFORMS_TEXT_MAX + 600);
	struct image image = { .platforms = platforms };
	struct index_stats stats = { .pushed_ms = 0 };
	bool ok = look_at_image(run, row, arena, &image, err);
	struct sql q;

	platforms = image.platforms;
	if (!ok)
		return false;
	(void)!index_tag_stats(run->view, str_of(tag), &stats);
	q = sql_of(run->md->db,
		"INSERT INTO tag (repository, name, manifest, shown, tagged_ms, updated_ms, is_signed, "
		"platforms, vendor) "
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (repository, name) DO UPDATE SET manifest = "
		"excluded.manifest, "
		"shown = excluded.shown, tagged_ms = excluded.tagged_ms, updated_ms = excluded.updated_ms, "
		"is_signed = excluded.is_signed, platforms = excluded.platforms, vendor = excluded.vendor");
	sql_int(&q, run->id);
	sql_text(&q, tag);
	sql_int(&q, row->id);
	sql_int(&q, metadata_tag_is_shown(str_of(tag)) && !(row->has_facts && row->facts.has_subject &&
								  metadata_signs(row->artifact_type)));
	sql_int(&q, stats.pushed_ms);
	sql_int(&q, image.updated_ms);
	sql_int(&q, image.is_signed);
	sql_text(&q, buf_text(&platforms));
	sql_text(&q, image.vendor);
	return sql_run(&q, err);
}

static bool write_tag(struct run *run, const char *tag, struct error *err)
{
	AUTO_FINI(arena) arena = arena_limit(2 * IMAGE_FACTS_ARENA);
	const struct index_entry *entry = index_find_tag(run->view, str_of(tag));
	struct manifest_row row;
	bool found = false;

	if (!entry)
		return delete_tag(run, tag, err);
	return metadata_row_by_digest_locked(
		       run->md, run->id, &entry->descriptor.digest, &arena, &row, &found, err) &&
	       (found ? put_tag(run, tag, &row, &arena, err) : delete_tag(run, tag, err));
}

struct part {
	size_t from, to;
};

static bool write_tags(struct run *run, void *arg, struct error *err)
{
	const struct part *part = arg;
	bool ok = true;

	for (size_t i = part->from; ok && i < part->to; i++)
		ok = write_tag(run, run->tags[i], err);
	return ok;
}

/* ---- the end ---- */

/* Each blob of what tags need once. */
static void add_blobs(struct map *seen, struct str blobs, uint64_t *sum)
{
	for (size_t at = 0; at + 16 <= blobs.len; at += 16) {
		uint64_t size = get_number(blobs.at + at + 8);

		if (!map_put(seen, str_from(blobs.at + at, 8), seen))
			*sum += least(size, (uint64_t)INT64_MAX - least(*sum, INT64_MAX));
	}
}

static bool weigh(struct run *run, uint64_t *ret, struct error *err)
{
	AUTO(map) *seen = map_new();
	struct sql q = sql_of(run->md->db,
		"SELECT digest, size, blobs FROM manifest WHERE id IN (SELECT manifest FROM tag WHERE "
		"repository = ?1) "
		"UNION ALL SELECT c.digest, c.size, c.blobs FROM member b JOIN manifest c ON c.repository = "
		"?1 AND c.digest = b.child "
		"WHERE b.repository = ?1 AND b.parent IN (SELECT manifest FROM tag WHERE repository = ?1)");
	uint64_t sum = 0;

	sql_int(&q, run->id);
	while (sql_next(&q)) {
		struct digest own;

		if (metadata_digest_of_raw(sql_column_bytes(&q, 0), &own)) {
			char row[16];
			AUTO_FINI(buf) entry = buf_limit(16);

			put_blob(&entry, &own, sql_column_count(&q, 1));
			memcpy(row, buf_text(&entry), sizeof(row));
			add_blobs(seen, str_from(row, sizeof(row)), &sum);
		}
		add_blobs(seen, sql_column_bytes(&q, 2), &sum);
	}
	*ret = sum;
	return sql_end(&q, err);
}

static bool list_vendors(struct run *run, struct buf *into, struct error *err)
{
	struct sql q = sql_of(run->md->db, "SELECT DISTINCT vendor FROM tag WHERE repository = ? AND shown "
					   "AND vendor <> '' ORDER BY vendor LIMIT 100");

	sql_int(&q, run->id);
	while (sql_next(&q))
		buf_format(into, "%s%s", into->len ? "\n" : "", sql_column_text(&q, 0));
	return sql_end(&q, err);
}

static bool put_stamp(
	struct run *run, const struct list_repository *to, const char *vendors, struct error *err)
{
	struct sql q = sql_of(run->md->db, "UPDATE repository SET generation = ?, at = ?, object = ?, "
					   "changes = ?, size = ?, vendors = ? WHERE id = ?");
	struct sql fresh = sql_of(
		run->md->db, "UPDATE manifest SET fresh = NULL WHERE repository = ? AND fresh IS NOT NULL");

	sql_text(&q, to->version.generation);
	sql_count(&q, to->version.at);
	sql_text(&q, to->version.object.text);
	sql_count(&q, to->changes);
	sql_count(&q, to->size);
	sql_text(&q, vendors);
	sql_int(&q, run->id);
	sql_int(&fresh, run->id);
	return sql_run(&q, err) && sql_run(&fresh, err);
}

/* A large one is weighed once a minute, else at each change. */
static bool set_size(struct run *run, struct list_repository *to, struct error *err)
{
	const struct list_repository *before = image_list_find(run->md->list, run->name);
	bool is_late = !before || !before->weighed_ms || clock_ms() - before->weighed_ms >= WEIGH_MS;

	if (index_len(run->view) > LARGE && !is_late) {
		to->size = before->size;
		to->weighed_ms = before->weighed_ms;
		return true;
	}
	to->weighed_ms = clock_ms();
	return weigh(run, &to->size, err);
}

static bool end_run(struct run *run, void *arg, struct error *err)
{
	AUTO(list_repository) *to = list_repository_new(run->name, run->id);
	AUTO_FINI(buf) vendors = buf_limit(100 * (size_t)(IMAGE_TEXT_MAX + 1));
	struct metadata *md = run->md;

	(void)arg;
	index_version_of(run->view, &to->version);
	to->changes = index_changes(run->view);
	to->walk = md->walk;
	if (!set_size(run, to, err) || !list_vendors(run, &vendors, err) ||
		!put_stamp(run, to, buf_text(&vendors), err) || !metadata_load_locked(md, to, err))
		return false;
	if (image_list_bytes(md->list) > METADATA_MEMORY_MAX)
		return error_set(err, ERROR_FULL, NULL,
			"the list of images takes over 1 GiB: this repository is not answered for");
	image_list_put(md->list, TAKE(to));
	return true;
}

static bool begin_run(struct run *run, void *arg, struct error *err)
{
	(void)arg;
	return make_repository(run, err) && load_known(run, err);
}

static bool all_steps(struct run *run, struct error *err)
{
	size_t at = 0;

	while (at < run->fresh_len && may_go_on(run))
		if (!read_batch(run, &at, err))
			return false;
	if (!may_go_on(run))
		return true;
	run->dirty = map_new();
	run->tags_seen = map_new();
	run->texts = arena_limit((size_t)256 * 1024 * 1024);
	if (!all_or_none(run, settle, NULL, err))
		return false;
	for (size_t from = 0; from < run->tags_len && may_go_on(run); from += BATCH_TAGS) {
		struct part part = { from, least(from + BATCH_TAGS, run->tags_len) };

		if (!all_or_none(run, write_tags, &part, err))
			return false;
	}
	return run->over || all_or_none(run, end_run, NULL, err);
}

/* Is what is known of the very same view? */
static bool is_known(struct metadata *md, struct str name, const struct index *view)
{
	struct index_version version;
	struct list_repository *known;
	bool same;

	index_version_of(view, &version);
	lock_take(&md->lock);
	known = image_list_find(md->list, name);
	same = known && known->version.at == version.at &&
	       !strcmp(known->version.generation, version.generation) &&
	       !strcmp(known->version.object.text, version.object.text) &&
	       known->changes == index_changes(view);
	if (same)
		known->walk = md->walk;
	lock_drop(&md->lock);
	return same;
}

static enum derived drop(struct metadata *md, struct str name, struct error *err)
{
	bool was, ok;

	lock_take(&md->lock);
	was = image_list_find(md->list, name);
	ok = !was || metadata_delete_locked(md, name, err);
	lock_drop(&md->lock);
	if (!ok)
		return DERIVED_FAILED;
	return was ? DERIVED_GONE : DERIVED_NOTHING;
}

enum derived metadata_derive(
	struct metadata *md, struct str name, size_t most, const struct pace *pace, struct error *err)
{
	AUTO_FINI(run) run = { .md = md, .name = name, .pace = pace };
	struct error why;
	bool ok;

	lock_assert(&md->deriving);
	if (!metadata_owns(md, name))
		return drop(md, name, err);
	if (!registry_index(md->settings.registry, name, &run.view, &why)) {
		if (why.kind == ERROR_UNKNOWN)
			return drop(md, name, err);
		*err = why;
		return DERIVED_FAILED;
	}
	if (is_known(md, name, run.view))
		return DERIVED_NOTHING;
	lock_take(&md->lock);
	run.rebuilt = md->rebuilt;
	lock_drop(&md->lock);
	if (!all_or_none(&run, begin_run, NULL, err))
		return DERIVED_FAILED;
	compare_with_view(&run);
	if (most && run.fresh_len > most)
		return DERIVED_PART;
	ok = all_steps(&run, err);
	__atomic_add_fetch(&md->counts.manifests, run.read, __ATOMIC_RELAXED);
	if (!ok)
		return DERIVED_FAILED;
	__atomic_add_fetch(&md->counts.derived, !run.over, __ATOMIC_RELAXED);
	return run.over ? DERIVED_PART : DERIVED;
}
