/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata_trust - what the signatures of a repository prove, by the keys that were uploaded (worker/trust/signers.h): rows of `signature`.
 *
 *     manifests that sign something and were not looked at with these keys --payloads, envelopes--> what each of their layers proves
 *
 * A row says which digest was signed, not whose signature it is beside: whoever tells of an image compares (metadata_records.c). So a row stays good when tags
 * move. It stays until other keys count, which the stamp of the keys says; a layer that proves nothing has no row.
 *
 * Bounds  of a manifest LAYERS_MOST layers and SIGNERS_BYTES_MAX bytes are read, the rest proves nothing.
 */
#include <string.h>

#include "common/check.h"
#include "common/log.h"
#include "worker/metadata/metadata_priv.h"
#include "worker/storage/pace.h"
#include "worker/storage/store.h"

#define LAYERS_MOST 32u
#define BATCH       32u

#define SIMPLE_SIGNING "application/vnd.dev.cosign.simplesigning.v1+json"
#define BUNDLE         "application/vnd.dev.sigstore.bundle.v0.3+json"
#define SIGNATURE      "dev.cosignproject.cosign/signature"

const struct signers *metadata_trust(struct metadata *md)
{
	AUTO(state) *now = NULL;

	lock_assert(&md->deriving);
	if (!md->settings.trust_by)
		return NULL;
	now = md->settings.trust_keys(md->settings.trust_arg);
	if (md->trust && state_same_kind(md->trust_of, now, ENTITY_TRUST))
		return md->trust;
	signers_free(md->trust);
	state_free(md->trust_of);
	md->trust = signers_new(now, md->settings.trust_by);
	md->trust_of = state_only(now, 1u << ENTITY_TRUST);
	if (signers_skipped(md->trust))
		log_warn("trust.skipped",
			"keys=%zu why=\"this version cannot read them: they count for nothing\"",
			signers_skipped(md->trust));
	return md->trust;
}

/* ---- which ---- */

struct signing {
	int64_t id;
	struct digest digest;
	char media_type[MEDIA_TYPE_MAX + 1];
	bool is_notation;
};
struct due {
	struct signing at[BATCH];
	size_t len;
	bool more;
};

static bool take(struct sql *q, struct due *due, struct error *err)
{
	bool good = true;

	while (good && sql_next(q)) {
		struct signing *one = &due->at[due->len];

		due->more |= due->len == BATCH;
		if (due->len == BATCH)
			continue;
		one->id = sql_column_int(q, 0);
		one->is_notation = sql_column_int(q, 3) == SIGNS_NOTATION;
		good = metadata_digest_of_raw(sql_column_bytes(q, 1), &one->digest) &&
		       str_copy(sql_column_bytes(q, 2), one->media_type, sizeof(one->media_type));
		due->len += good;
	}
	return sql_end(q, good ? err : NULL) &&
	       (good || error_set(err, ERROR_INVALID, NULL, "a row is damaged"));
}

/* Those with a subject, then those that have a tag by cosign's rule. One that is both is looked at once, since it has its stamp then. */
static bool find_due(
	struct metadata *md, int64_t repository, int64_t stamp, struct due *due, struct error *err)
{
	struct sql q = sql_of(md->db,
		"SELECT id, digest, media_type, signs FROM manifest WHERE repository = ?1 AND signs AND "
		"judged IS NOT "
		"?2 "
		"UNION SELECT m.id, m.digest, m.media_type, m.signs FROM tag t JOIN manifest m ON m.id = "
		"t.manifest WHERE t.repository = ?1 "
		"AND t.name >= 'sha256-' AND t.name < 'sha256.' AND t.name LIKE '%.sig' AND m.judged IS NOT "
		"?2 LIMIT 33");

	sql_int(&q, repository);
	sql_int(&q, stamp);
	return take(&q, due, err);
}

/* ---- what they prove ---- */

struct proven {
	size_t nth;
	struct signers_verdict verdict;
};
struct judgement {
	struct proven at[LAYERS_MOST];
	size_t len;
};

static void judgement_fini(struct judgement *judgement)
{
	for (size_t i = 0; i < judgement->len; i++)
		signers_verdict_fini(&judgement->at[i].verdict);
}

struct judge {
	struct metadata *md;
	const struct signers *trust;
	struct str name;
	uint64_t rebuilt;
	uint64_t bytes; /* that were read of this manifest */
};

static bool prove(struct judge *judge, const struct signing *signing, const struct descriptor *layer,
	struct str bytes, struct signers_verdict *ret)
{
	struct str type = str_of(layer->media_type ? layer->media_type : "");
	struct error why = { .text = "" };
	bool ok;

	if (signing->is_notation)
		ok = signers_notation(judge->trust, type, bytes, ret, &why);
	else if (str_is(type, BUNDLE))
		ok = signers_bundle(judge->trust, bytes, ret, &why);
	else
		ok = signers_cosign(
			judge->trust, bytes, str_of(descriptor_annotation(layer, SIGNATURE)), ret, &why);
	if (!ok)
		log_debug("trust.unproven", "name=%.*s error=%s", STR_ARGS(judge->name),
			log_quote(str_of(why.text)));
	return ok;
}

static bool may_prove(
	const struct judge *judge, const struct signing *signing, const struct descriptor *layer)
{
	struct str type = str_of(layer->media_type ? layer->media_type : "");

	if (!signers_has(judge->trust, signing->is_notation ? SIGNERS_BY_NOTATION : SIGNERS_BY_COSIGN) ||
		layer->size > SIGNERS_BYTES_MAX - judge->bytes)
		return false;
	return signing->is_notation || str_is(type, BUNDLE) ||
	       (str_is(type, SIMPLE_SIGNING) && descriptor_annotation(layer, SIGNATURE));
}

static bool is_later(enum error_kind kind)
{
	return kind == ERROR_UNAVAILABLE || kind == ERROR_BUSY || kind == ERROR_TIMEOUT;
}

/* False: the store cannot be asked now. */
static bool judge_layer(struct judge *judge, const struct signing *signing, const struct descriptor *layer,
	size_t nth, struct judgement *into, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(SIGNERS_BYTES_MAX);
	struct proven *proven = &into->at[into->len];
	struct error why = { .text = "" };

	if (!may_prove(judge, signing, layer))
		return true;
	judge->bytes += layer->size;
	if (!store_blob_get(judge->md->settings.registry->store, judge->name, &layer->digest, &bytes, &why))
		return !is_later(why.kind) || error_set(err, why.kind, NULL, "signature: %s", why.text);
	if (bytes.len != layer->size)
		return true;
	proven->nth = nth;
	into->len += prove(judge, signing, layer, buf_str(&bytes), &proven->verdict);
	return true;
}

static bool judge_layers(struct judge *judge, const struct signing *signing, const struct manifest *manifest,
	struct judgement *into, struct error *err)
{
	judge->bytes = 0;
	for (size_t i = 0; i < manifest->layers_len && i < LAYERS_MOST; i++)
		if (!judge_layer(judge, signing, &manifest->layers[i], i, into, err))
			return false;
	return true;
}

static bool judge_manifest(
	struct judge *judge, const struct signing *signing, struct judgement *into, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(REGISTRY_MANIFEST_MAX);
	struct manifest manifest;
	struct error why = { .text = "" };
	bool ok;

	if (!signers_has(judge->trust, signing->is_notation ? SIGNERS_BY_NOTATION : SIGNERS_BY_COSIGN))
		return true;
	if (!registry_manifest_read(
		    judge->md->settings.registry, judge->name, &signing->digest, &bytes, &why) ||
		!manifest_parse(buf_str(&bytes), str_of(signing->media_type), true, &manifest, &why))
		return !is_later(why.kind) || error_set(err, why.kind, NULL, "%s", why.text);
	ok = judge_layers(judge, signing, &manifest, into, err);
	manifest_fini(&manifest);
	return ok;
}

/* ---- rows ---- */

static bool put_proven(struct metadata *md, int64_t manifest, const struct proven *proven, struct error *err)
{
	struct sql q = sql_of(md->db, "INSERT OR REPLACE INTO signature VALUES (?, ?, ?, ?, ?, ?)");
	const struct signers_verdict *verdict = &proven->verdict;

	sql_int(&q, manifest);
	sql_count(&q, proven->nth);
	sql_bytes(&q, metadata_digest_raw(&verdict->target));
	sql_text(&q, buf_text(&verdict->author));
	sql_int(&q, verdict->from_ms);
	sql_int(&q, verdict->until_ms);
	return sql_run(&q, err);
}

static bool put_rows(
	struct judge *judge, int64_t manifest, const struct judgement *judgement, struct error *err)
{
	struct metadata *md = judge->md;
	struct sql gone = sql_of(md->db, "DELETE FROM signature WHERE manifest = ?");
	struct sql stamp = sql_of(md->db, "UPDATE manifest SET judged = ? WHERE id = ?");
	bool ok;

	sql_int(&gone, manifest);
	sql_int(&stamp, signers_stamp(judge->trust));
	sql_int(&stamp, manifest);
	ok = sql_run(&gone, err) && sql_run(&stamp, err);
	for (size_t i = 0; ok && i < judgement->len; i++)
		ok = put_proven(md, manifest, &judgement->at[i], err);
	return ok;
}

static bool put_locked(
	struct judge *judge, int64_t manifest, const struct judgement *judgement, struct error *err)
{
	struct metadata *md = judge->md;

	if (!md->db || md->rebuilt != judge->rebuilt)
		return error_set(err, ERROR_UNAVAILABLE, NULL, "the file was removed meanwhile");
	if (!sqlite_begin(md->db, err))
		return false;
	if (put_rows(judge, manifest, judgement, err))
		return sqlite_commit(md->db, err);
	sqlite_rollback(md->db);
	return false;
}

/* A failure of the file is its end, unless the disk is full. */
static bool ended(struct judge *judge, bool ok, const struct error *why, struct error *err)
{
	if (!ok && judge->md->rebuilt == judge->rebuilt && why->kind != ERROR_FULL)
		metadata_file_broke_locked(judge->md, why);
	return ok || error_set(err, why->kind, NULL, "%s", why->text);
}

static bool judge_one(struct judge *judge, const struct signing *signing, struct error *err)
{
	AUTO_FINI(judgement) judgement = { .len = 0 };
	struct error why = { .text = "" };
	bool ok;

	if (!judge_manifest(judge, signing, &judgement, err))
		return false;
	lock_take(&judge->md->lock);
	ok = ended(judge, put_locked(judge, signing->id, &judgement, &why), &why, err);
	lock_drop(&judge->md->lock);
	return ok;
}

/* ---- a repository ---- */

static bool find_locked(struct judge *judge, int64_t stamp, struct due *due, bool *ret_any, struct error *err)
{
	const struct list_repository *known = image_list_find(judge->md->list, judge->name);
	struct error why = { .text = "" };

	*ret_any = known && known->judged != stamp && judge->md->db;
	if (!*ret_any)
		return true;
	judge->rebuilt = judge->md->rebuilt;
	return ended(judge, find_due(judge->md, known->id, stamp, due, &why), &why, err);
}

static void settle(struct judge *judge, int64_t stamp)
{
	struct list_repository *known;

	lock_take(&judge->md->lock);
	known = judge->md->rebuilt == judge->rebuilt ? image_list_find(judge->md->list, judge->name) : NULL;
	if (known)
		known->judged = stamp;
	lock_drop(&judge->md->lock);
}

static enum derived judge_batch(
	struct judge *judge, struct due *due, size_t most, const struct pace *pace, struct error *err)
{
	if (most && due->len > most)
		return DERIVED_PART;
	for (size_t i = 0; i < due->len; i++) {
		if (!pace_go_on(pace))
			return DERIVED_PART;
		if (!judge_one(judge, &due->at[i], err))
			return DERIVED_FAILED;
	}
	return DERIVED;
}

enum derived metadata_judge(
	struct metadata *md, struct str name, size_t most, const struct pace *pace, struct error *err)
{
	struct judge judge = { .md = md, .trust = metadata_trust(md), .name = name };
	int64_t stamp = judge.trust ? signers_stamp(judge.trust) : 0;
	enum derived how = DERIVED_NOTHING;
	struct due due;
	bool any, ok;

	if (!judge.trust)
		return DERIVED_NOTHING;
	do {
		due.len = 0;
		due.more = false;
		lock_take(&md->lock);
		ok = find_locked(&judge, stamp, &due, &any, err);
		lock_drop(&md->lock);
		if (!ok)
			return DERIVED_FAILED;
		if (!any)
			return how;
		if (due.len)
			how = judge_batch(&judge, &due, most, pace, err);
	} while (how == DERIVED && due.more);
	if (how == DERIVED || how == DERIVED_NOTHING)
		settle(&judge, stamp);
	return how;
}
