/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_aside - rotten objects of a bucket: read in parts, and set aside.
 *
 *     HEAD ----- the store has a sha256 of all its bytes, and it is the digest's -----> vouched for: it looks after that itself
 *       |
 *     GET of each part ----- another ETag -----> CONFLICT
 *       |  not what the digest says
 *     HEAD ----- another ETag, or written later -----> CONFLICT: somebody pushed it
 *     copied to `_aside/<key, %-escaped>`
 *     PUT of nothing, If-Match ----- refused --------> CONFLICT, and the copy is nobody's
 *
 * No store that we know deletes conditionally; all that we run on write conditionally. So the object is replaced by an empty one with a header of
 * ours, which who asks for its size, its bytes or a copy of it takes for none; a push, which looks for an object of its own size, writes over it.
 *
 * An ETag is not of the bytes that are there but of those that were sent. Where a store's disk rots below an ETag that stays, and the same blob is
 * pushed within the moment between the HEAD and the PUT, its new object is set aside as well; it is absent then, and the next push heals it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/check.h"
#include "common/http.h"
#include "worker/storage/pace.h"
#include "worker/storage/s3_priv.h"

#define PAGE     1000
#define REMOVE_S 60

struct s3_reading {
	struct store_reading reading; /* first */
	struct s3_store *s3;
	struct store_version version;
	char key[STORE_KEY_MAX];
	uint64_t at;
};

static struct s3_reading *of(struct store_reading *reading)
{
	return (struct s3_reading *)reading;
}

/* ---- what the store says of it ---- */

struct seen {
	struct store_version version;
	uint64_t size;
	int64_t written_s;
	bool aside, vouched;
};

/* base64 of the digest's bytes, and of the object whole: what is sent in parts has a sum of sums. */
static bool is_vouched(const struct http_result *result, const struct digest *digest)
{
	const char *sum = http_headers_find(result->headers, "x-amz-checksum-sha256");
	const char *type = http_headers_find(result->headers, "x-amz-checksum-type");
	AUTO_FINI(buf) wanted = buf_limit(64);

	if (!sum || digest->alg != HASH_SHA256 || (type && strcmp(type, "FULL_OBJECT") != 0))
		return false;
	buf_base64(&wanted, digest->raw, 32);
	return str_is(buf_str(&wanted), sum);
}

static bool see(struct s3_store *s3, const char *key, const struct digest *digest, struct seen *ret,
	struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	const struct s3_call call = {
		.method = "HEAD", .key = key, .headers = { { "x-amz-checksum-mode", "ENABLED" } }
	};
	const char *changed;

	if (!s3_client_send(&s3->client, &call, &result, err) ||
		!s3_client_expect_ok(&s3->client, &call, &result, err))
		return false;
	changed = http_headers_find(result.headers, "Last-Modified");
	if (!s3_read_etag(&result, &ret->version) ||
		!str_to_number(
			str_of(http_headers_find(result.headers, "Content-Length")), INT64_MAX, &ret->size))
		return error_set(err, ERROR_INTERNAL, NULL, "S3 HEAD %s: answer without ETag or length", key);
	if (!changed || !http_date_parse(str_of(changed), &ret->written_s))
		ret->written_s = 0;
	ret->aside = s3_is_stand_in(key, ret->size) && s3_says_aside(&result);
	ret->vouched = digest && is_vouched(&result, digest);
	return true;
}

bool s3_reading_new(struct store *store, const char *key, const struct digest *digest,
	struct store_reading **ret, struct error *err)
{
	struct s3_store *s3 = s3_store_of(store);
	struct s3_reading *reading;
	struct seen seen;

	if (!see(s3, key, digest, &seen, err))
		return false;
	/* zot left its bytes in another repository. */
	if (s3_is_stand_in(key, seen.size) && !seen.aside)
		return error_set(
			err, ERROR_UNKNOWN, NULL, "%s stands in for a blob of another repository", key);
	reading = xnew(struct s3_reading);
	reading->reading = (struct store_reading){
		.size = seen.size, .written_s = seen.written_s, .aside = seen.aside, .vouched = seen.vouched
	};
	reading->s3 = s3;
	reading->version = seen.version;
	CHECK(str_copy(str_of(key), reading->key, sizeof(reading->key)));
	*ret = &reading->reading;
	return true;
}

void s3_reading_free(struct store_reading *reading)
{
	free(reading);
}

void s3_reading_again(struct store_reading *reading)
{
	of(reading)->at = 0;
}

/* ---- reading ---- */

static bool ask_part(struct s3_reading *s3, uint64_t len, struct http_result *result, struct error *err)
{
	struct store_version version;
	char range[64];
	const struct s3_call call = { .method = "GET",
		.key = s3->key,
		.headers = { { "Range", range } },
		.answer_max = (size_t)len > S3_ANSWER_MAX ? (size_t)len : S3_ANSWER_MAX,
		.patient = true };

	(void)snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, s3->at, s3->at + len - 1);
	if (!s3_client_send(&s3->s3->client, &call, result, err) ||
		!s3_client_expect_ok(&s3->s3->client, &call, result, err))
		return false;
	/* Not asked for by If-Match: stores differ in how they want it quoted. */
	return (s3_read_etag(result, &version) && strcmp(version.text, s3->version.text) == 0) ||
	       error_set(err, ERROR_CONFLICT, NULL, "%s is another object by now", s3->key);
}

bool s3_reading_next(
	struct store_reading *reading, char *into, size_t len, size_t *ret_len, struct error *err)
{
	struct s3_reading *s3 = of(reading);
	uint64_t left = reading->size - s3->at, want = left < len ? left : len;
	AUTO_FINI(http_result) result = { 0 };

	if (want) {
		if (!ask_part(s3, want, &result, err))
			return false;
		if (result.body.len != want)
			return error_set(err, ERROR_UNAVAILABLE, NULL,
				"S3 GET %s: %zu bytes instead of %" PRIu64, s3->key, result.body.len, want);
		memcpy(into, result.body.at, (size_t)want);
	}
	s3->at += want;
	*ret_len = (size_t)want;
	return true;
}

/* ---- setting aside ---- */

/* Flat, so that one list has all. */
static void aside_key(const char *key, char into[STORE_KEY_MAX])
{
	AUTO_FINI(buf) text = buf_limit(STORE_KEY_MAX - 1);

	buf_puts(&text, STORE_ASIDE);
	buf_url(&text, str_of(key), "");
	CHECK(!text.failed && str_copy(buf_str(&text), into, STORE_KEY_MAX));
}

bool s3_set_aside(struct store_reading *reading, bool aside, struct error *err)
{
	static const struct s3_header says = { S3_ASIDE, "rotten" };
	struct s3_reading *s3 = of(reading);
	struct store_version version = { .text = "" };
	char copy[STORE_KEY_MAX];
	enum store_step step;
	struct seen now;

	/* Of what was set aside nothing is left to be read. */
	if (!aside)
		return error_set(err, ERROR_INVALID, NULL, "%s cannot be taken back", s3->key);
	if (!see(s3->s3, s3->key, NULL, &now, err))
		return false;
	if (strcmp(now.version.text, s3->version.text) != 0 || now.written_s != reading->written_s)
		return error_set(err, ERROR_CONFLICT, NULL, "%s is another object by now", s3->key);
	aside_key(s3->key, copy);
	if (!s3_copy_object(s3->s3, s3->key, copy, err))
		return error_add(err, "a copy for %s", copy);
	step = s3_put_if_with(&s3->s3->store, s3->key, STR(""), &says, &s3->version, &version, err);
	return step == STORE_OK ||
	       (step == STORE_CONFLICT &&
		       error_set(err, ERROR_CONFLICT, NULL, "%s is another object by now", s3->key));
}

/* ---- what was kept ---- */

struct trim {
	struct s3_store *s3;
	const struct pace *pace;
	int64_t before_s;
	uint64_t removed;
	char last[STORE_KEY_MAX - sizeof(STORE_ASIDE)], key[STORE_KEY_MAX];
	bool found, ended;
};

static bool on_copy(void *arg, struct str name, uint64_t size, int64_t changed_s)
{
	struct trim *trim = arg;

	(void)size;
	trim->ended = !pace_go_on(trim->pace);
	if (trim->ended || !str_copy(name, trim->last, sizeof(trim->last)))
		return false;
	trim->found = changed_s < trim->before_s;
	if (trim->found)
		(void)snprintf(trim->key, sizeof(trim->key), STORE_ASIDE "%s", trim->last);
	return !trim->found;
}

static bool remove_copy(struct trim *trim, struct error *err)
{
	struct store *store = &trim->s3->store;
	struct error cause;

	if (!s3_remove(store, trim->key, store_clock_s(store, STR_NONE) + REMOVE_S, &cause) &&
		cause.kind != ERROR_UNKNOWN) {
		*err = cause;
		return false;
	}
	trim->removed++;
	return true;
}

bool s3_aside_trim(struct store *store, const struct pace *pace, uint64_t *ret_removed, struct error *err)
{
	struct trim trim = { .s3 = s3_store_of(store),
		.pace = pace,
		.before_s = store_clock_s(store, STR_NONE) - STORE_ASIDE_KEEP_S };
	bool more = true, ok = true;

	while (more && ok && !trim.ended) {
		trim.found = false;
		ok = s3_objects(store, STORE_ASIDE, str_of(trim.last), PAGE, on_copy, &trim, &more, err) &&
		     (!trim.found || remove_copy(&trim, err));
	}
	*ret_removed += trim.removed;
	return ok;
}
