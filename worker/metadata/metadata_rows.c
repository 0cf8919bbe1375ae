/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata_rows - what a row of a manifest says, and what names of tags mean.
 */
#include <string.h>

#include "worker/metadata/metadata_priv.h"

/* Names. */

enum signs metadata_signs(const char *artifact_type)
{
	if (!strcmp(artifact_type, "application/vnd.cncf.notary.signature"))
		return SIGNS_NOTATION;
	if (!strcmp(artifact_type, "application/vnd.dev.cosign.artifact.sig.v1+json") ||
		!strcmp(artifact_type, "application/vnd.dev.sigstore.bundle.v0.3+json"))
		return SIGNS_COSIGN;
	return SIGNS_NOT;
}

#define SHA256_TAG "sha256-"
#define SIG_END    ".sig"

bool metadata_tag_signs(struct str tag, struct digest *ret_subject)
{
	struct digest subject = { .alg = HASH_SHA256 };

	if (!str_skip(&tag, SHA256_TAG) || tag.len != 64 + strlen(SIG_END) || !str_ends(tag, SIG_END) ||
		!str_unhex(str_from(tag.at, 64), subject.raw, 32))
		return false;
	*ret_subject = subject;
	return true;
}

static bool is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* As zot: what ends in "sha256-" and letters and digits is a referrer of a client's, "sha256-....sig" a signature. */
bool metadata_tag_is_shown(struct str tag)
{
	size_t at = tag.len, len = strlen(SHA256_TAG);

	if (str_starts(tag, SHA256_TAG) && str_ends(tag, SIG_END))
		return false;
	while (at && is_plain(tag.at[at - 1]))
		at--;
	return at < len || memcmp(tag.at + at - len, SHA256_TAG, len) != 0;
}

/* Digests. */

struct str metadata_digest_raw(const struct digest *digest)
{
	return str_from((const char *)digest->raw, digest->alg == HASH_SHA512 ? 64 : 32);
}

bool metadata_digest_of_raw(struct str raw, struct digest *ret)
{
	if (raw.len != 32 && raw.len != 64)
		return false;
	*ret = (struct digest){ .alg = raw.len == 64 ? HASH_SHA512 : HASH_SHA256 };
	memcpy(ret->raw, raw.at, raw.len);
	return true;
}

int64_t metadata_head(const struct digest *digest)
{
	uint64_t head = 0;

	for (size_t i = 0; i < 7; i++)
		head = head << 8 | digest->raw[i];
	/* Signed, so that what is larger comes later. */
	return (int64_t)((head << 8 | (digest->alg == HASH_SHA512)) ^ UINT64_C(1) << 63);
}

/* Rows. */

#define COLUMNS                                                                                              \
	"id, repository, digest, kind, media_type, artifact_type, size, pulls, pulled_ms, pushed_ms, "       \
	"pushed_by, facts "

static const char *keep(struct arena *arena, const char *text)
{
	return *text ? arena_text(arena, str_of(text)) : "";
}

static bool read_row(struct sql *q, struct arena *arena, struct manifest_row *into, struct error *err)
{
	struct str facts = sql_column_bytes(q, 11);

	into->id = sql_column_int(q, 0);
	into->kind = sql_column_int(q, 3) ? MANIFEST_INDEX : MANIFEST_IMAGE;
	into->media_type = keep(arena, sql_column_text(q, 4));
	into->artifact_type = keep(arena, sql_column_text(q, 5));
	into->size = sql_column_count(q, 6);
	into->pulls = sql_column_count(q, 7);
	into->pulled_ms = sql_column_int(q, 8);
	into->pushed_ms = sql_column_int(q, 9);
	into->pushed_by = keep(arena, sql_column_text(q, 10));
	into->has_facts = facts.len;
	if (!into->media_type || !into->artifact_type || !into->pushed_by)
		return error_set(err, ERROR_TOO_LARGE, NULL, "a row does not fit");
	if (!metadata_digest_of_raw(sql_column_bytes(q, 2), &into->digest))
		return error_set(err, ERROR_INVALID, NULL, "a row is damaged");
	return !facts.len || image_facts_decode(facts, arena, &into->facts, err);
}

static bool take_row(struct sql *q, struct arena *arena, int64_t *ret_repository, struct manifest_row *ret,
	bool *ret_found, struct error *err)
{
	struct manifest_row row = { 0 };
	bool good = true, found = false;

	while (good && sql_next(q)) {
		good = read_row(q, arena, &row, err);
		*ret_repository = sql_column_int(q, 1);
		found = good;
	}
	if (!sql_end(q, good ? err : NULL) || !good)
		return false;
	*ret = row;
	*ret_found = found;
	return true;
}

bool metadata_row_by_digest_locked(struct metadata *md, int64_t repository, const struct digest *digest,
	struct arena *arena, struct manifest_row *ret, bool *ret_found, struct error *err)
{
	struct sql q = sql_of(md->db, "SELECT " COLUMNS "FROM manifest WHERE repository = ? AND digest = ?");
	int64_t ignored;

	lock_assert(&md->lock);
	sql_int(&q, repository);
	sql_bytes(&q, metadata_digest_raw(digest));
	return take_row(&q, arena, &ignored, ret, ret_found, err);
}

bool metadata_row_by_id_locked(struct metadata *md, int64_t id, int64_t *ret_repository, struct arena *arena,
	struct manifest_row *ret, bool *ret_found, struct error *err)
{
	struct sql q = sql_of(md->db, "SELECT " COLUMNS "FROM manifest WHERE id = ?");

	lock_assert(&md->lock);
	sql_int(&q, id);
	return take_row(&q, arena, ret_repository, ret, ret_found, err);
}

static bool has_row(struct sql *q, bool *ret, struct error *err)
{
	bool found = false;

	while (sql_next(q))
		found = true;
	if (!sql_end(q, err))
		return false;
	*ret |= found;
	return true;
}

bool metadata_is_signed_locked(
	struct metadata *md, int64_t repository, const struct digest *digest, bool *ret, struct error *err)
{
	struct sql by_subject = sql_of(
		md->db, "SELECT 1 FROM manifest WHERE repository = ? AND subject = ? AND signs LIMIT 1");
	struct sql by_tag = sql_of(md->db, "SELECT 1 FROM tag WHERE repository = ? AND name = ?");
	char name[sizeof(SHA256_TAG) + 64 + sizeof(SIG_END)], hex[129];

	lock_assert(&md->lock);
	*ret = false;
	sql_int(&by_subject, repository);
	sql_bytes(&by_subject, metadata_digest_raw(digest));
	if (!has_row(&by_subject, ret, err))
		return false;
	if (*ret || digest->alg != HASH_SHA256)
		return true;
	digest_encoded(digest, hex);
	(void)snprintf(name, sizeof(name), SHA256_TAG "%.64s" SIG_END, hex);
	sql_int(&by_tag, repository);
	sql_text(&by_tag, name);
	return has_row(&by_tag, ret, err);
}
