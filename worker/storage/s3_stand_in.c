/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_stand_in - blobs that zot, with storage.dedupe, left in another repository.
 *
 * There a blob that several repositories have has its bytes in one of them, and an empty object in each other. Which one that is said a database
 * of zot's that we do not have. So an empty object under a digest that is not that of nothing stands in for one that is looked for:
 *
 *     HEAD of <repository>/blobs/<alg>/<encoded> in the repositories of the catalog, LOOKS at a time; where it was found last comes first
 *     found: the store copies it over the stand-in, which is a blob then like any other
 *
 * It is done when one is asked for (its size, a mount, a GET), and for all of a bucket by a walk (store_dedupe()), which leaves a mark. Until a bucket has
 * the mark nothing is deleted before its stand-ins elsewhere, in the catalog as it is, have their bytes.
 *
 * Bounds: one search at a time in a process, others are told to come again; one that found nothing is not made again for LOST_MS; it
 * ends after SEARCH_MS. Thread  pool.
 */
#include <stdio.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/digest.h"
#include "proto/name.h"
#include "worker/storage/pace.h"
#include "worker/storage/s3_priv.h"

#define MARK      "_dedupe/.restored"
#define LOOKS     32
#define PAGE      1000
#define LOST_MS   60000
#define SEARCH_MS 5000
#define LOCK_MS   10

/* "<repository>/blobs/<alg>/<encoded>"; false: no blob's key. */
static bool split(const char *key, struct str *ret_name, const char **ret_blob)
{
	const char *blobs = NULL, *slash;

	for (const char *at = strstr(key, "/blobs/"); at; at = strstr(at + 1, "/blobs/"))
		blobs = at;
	slash = blobs ? strchr(blobs + sizeof("/blobs/") - 1, '/') : NULL;
	if (!slash || !slash[1] || strchr(slash + 1, '/'))
		return false;
	*ret_name = str_from(key, (size_t)(blobs - key));
	*ret_blob = blobs + 1;
	return true;
}

static bool is_of_nothing(const char *blob)
{
	static const enum hash_kind kinds[] = { HASH_SHA256, HASH_SHA512 };
	char encoded[129], text[160];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct digest digest = digest_of(kinds[i], STR(""));

		digest_encoded(&digest, encoded);
		(void)snprintf(text, sizeof(text), "blobs/%s/%s", digest_algorithm(&digest), encoded);
		if (!strcmp(blob, text))
			return true;
	}
	return false;
}

bool s3_is_stand_in(const char *key, uint64_t size)
{
	const char *blob;
	struct str name;

	return size == 0 && split(key, &name, &blob) && !is_of_nothing(blob);
}

/* ---- the search ---- */

struct search {
	struct s3_store *s3;
	const char *key, *blob; /* the stand-in, or the blob that is to be deleted */
	bool for_empty;         /* those that stand in for it: each gets its bytes */
	const struct pace *pace;
	int64_t end_ms; /* 0: none but the pace */
	struct buf last;
	char keys[LOOKS][STORE_KEY_MAX];
	size_t len;
	char found[STORE_KEY_MAX]; /* "": nowhere */
};

/* True: the object is there. */
static bool read_head(const struct http_result *result, uint64_t *ret_size)
{
	return result->status == 200 &&
	       str_to_number(
		       str_of(http_headers_find(result->headers, "Content-Length")), INT64_MAX, ret_size);
}

static bool take_answer(struct search *search, size_t at, uint64_t size, struct error *err)
{
	if (!search->for_empty) {
		if (size && !search->found[0])
			(void)snprintf(search->found, sizeof(search->found), "%s", search->keys[at]);
		return true;
	}
	return size || s3_copy_object(search->s3, search->key, search->keys[at], err);
}

/* An answer that is none leaves the question open: nothing is concluded from it. */
static bool look(struct search *search, struct error *err)
{
	struct s3_client *client = &search->s3->client;
	struct s3_request requests[LOOKS] = { { 0 } };
	struct http_call_spec specs[LOOKS];
	struct http_result results[LOOKS];
	bool ok[LOOKS] = { false }, fine = true;
	size_t n = 0;

	for (; n < search->len && fine; n++) {
		const struct s3_call call = { .method = "HEAD", .key = search->keys[n] };

		fine = s3_client_prepare(client, &call, &requests[n], err);
		if (!fine)
			break;
		specs[n] = requests[n].spec;
		http_result_init(&results[n], S3_ANSWER_MAX);
	}
	if (fine && n)
		fine = http_send_many(specs, n, LOOKS, results, ok, err);
	for (size_t i = 0; i < n; i++) {
		uint64_t size = 0;

		if (ok[i])
			s3_client_heard(client, &requests[i], &results[i]);
		else
			s3_client_heard_nothing(client);
		if (fine && ok[i] && read_head(&results[i], &size))
			fine = take_answer(search, i, size, err);
		else if (fine && (!ok[i] || results[i].status != 404))
			fine = error_set(
				err, ERROR_UNAVAILABLE, NULL, "where the blob's bytes are is not known now");
		http_result_fini(&results[i]);
		s3_request_fini(&requests[i]);
	}
	search->len = 0;
	return fine;
}

static bool on_repository(void *arg, struct str name)
{
	struct search *search = arg;

	buf_clear(&search->last);
	buf_add(&search->last, name);
	(void)snprintf(search->keys[search->len], STORE_KEY_MAX, "%.*s/%s", STR_ARGS(name), search->blob);
	if (strcmp(search->keys[search->len], search->key) != 0)
		search->len++;
	return search->len < LOOKS;
}

static bool is_late(const struct search *search)
{
	return (search->end_ms && clock_ms() > search->end_ms) || !pace_go_on(search->pace);
}

static bool search_all(struct search *search, struct error *err)
{
	bool more = true;

	while (more && !search->found[0]) {
		if (is_late(search))
			return error_set(err, ERROR_UNAVAILABLE, NULL,
				"the blob's bytes are being looked for in other repositories, ask again");
		if (!store_catalog(&search->s3->store, buf_str(&search->last), LOOKS, on_repository, search,
			    &more, err) ||
			!look(search, err))
			return false;
	}
	return true;
}

static void search_fini(struct search *search)
{
	if (!search)
		return;
	buf_fini(&search->last);
	free(search);
}

static struct search *search_new(
	struct s3_store *s3, const char *key, const char *blob, const struct pace *pace)
{
	struct search *search = xnew(struct search);

	search->s3 = s3;
	search->key = key;
	search->blob = blob;
	search->pace = pace;
	search->last = buf_limit(NAME_MAX_LEN + 1);
	search->end_ms = pace ? 0 : clock_ms() + SEARCH_MS;
	return search;
}

/* ---- one that is asked for ---- */

/* Before the catalog is whole the mark would be a lie. */
static bool is_imported(struct s3_store *s3, bool *ret, struct error *err)
{
	struct error why;
	uint64_t size;

	*ret = s3_head(s3, STORE_CATALOG ".imported", &size, NULL, &why);
	if (*ret || why.kind == ERROR_UNKNOWN)
		return true;
	if (err)
		*err = why;
	return false;
}

static bool is_catalog_whole(struct s3_store *s3, struct error *err)
{
	bool imported;

	return is_imported(s3, &imported, err) &&
	       (imported || error_set(err, ERROR_UNAVAILABLE, NULL,
				    "the bucket is still being looked through, ask again"));
}

static bool error_lost(const char *key, struct error *err)
{
	return error_set(err, ERROR_UNKNOWN, NULL, "%s is empty, and no repository has its bytes", key);
}

/* The one before is likely to have the next one too. */
static bool try_hint(struct search *search, struct error *err)
{
	struct s3_store *s3 = search->s3;

	if (!s3->stand_in.hint[0])
		return true;
	(void)snprintf(search->keys[0], STORE_KEY_MAX, "%s/%s", s3->stand_in.hint, search->blob);
	search->len = strcmp(search->keys[0], search->key) ? 1 : 0;
	return look(search, err);
}

static bool restore_locked(struct s3_store *s3, const char *key, const struct pace *pace, struct error *err)
{
	const char *blob, *ignored;
	struct str name;
	struct search *search;
	bool ok;

	CHECK(split(key, &name, &blob));
	if (!strcmp(s3->stand_in.lost, key) && clock_ms() - s3->stand_in.lost_ms < LOST_MS)
		return error_lost(key, err);
	search = search_new(s3, key, blob, pace);
	ok = try_hint(search, err) && (search->found[0] || search_all(search, err)) &&
	     (search->found[0] || is_catalog_whole(s3, err));
	if (ok && !search->found[0]) {
		(void)snprintf(s3->stand_in.lost, sizeof(s3->stand_in.lost), "%s", key);
		s3->stand_in.lost_ms = clock_ms();
		log_error("store.lost",
			"key=%s what=\"a blob that zot left in another repository is in none\"",
			log_quote(str_of(key)));
		ok = error_lost(key, err);
	} else if (ok) {
		CHECK(split(search->found, &name, &ignored));
		if (!str_copy(name, s3->stand_in.hint, sizeof(s3->stand_in.hint)))
			s3->stand_in.hint[0] = '\0';
		ok = s3_copy_object(s3, search->found, key, err);
	}
	search_fini(search);
	return ok;
}

static bool restore(struct s3_store *s3, const char *key, const struct pace *pace, struct error *err)
{
	bool ok;

	if (!lock_take_within(&s3->stand_in.lock, LOCK_MS))
		return error_set(err, ERROR_UNAVAILABLE, NULL,
			"blobs are being looked for in other repositories, ask again");
	ok = restore_locked(s3, key, pace, err);
	lock_drop(&s3->stand_in.lock);
	return ok;
}

bool s3_restore(struct s3_store *s3, const char *key, uint64_t *ret_size, struct error *err)
{
	return restore(s3, key, NULL, err) && s3_head(s3, key, ret_size, NULL, err) &&
	       (*ret_size || error_lost(key, err));
}

/* ---- all of a bucket ---- */

struct walk {
	struct s3_store *s3;
	const struct pace *pace; /* of the whole; what it says is kept: */
	struct pace steps;
	struct store_dedupe *told;
	struct buf last;
	char folder[STORE_KEY_MAX];
	bool ended, ok;
	struct error *err;
};

static bool walk_goes_on(void *arg)
{
	struct walk *walk = arg;

	walk->ended = walk->ended || !pace_go_on(walk->pace);
	return !walk->ended;
}

static bool on_empty(void *arg, struct str rest)
{
	struct walk *walk = arg;
	char key[STORE_KEY_MAX];
	struct error err;

	if (!walk_goes_on(walk))
		return false;
	if (snprintf(key, sizeof(key), "%s%.*s", walk->folder, STR_ARGS(rest)) >= (int)sizeof(key) ||
		!s3_is_stand_in(key, 0))
		return true;
	if (restore(walk->s3, key, &walk->steps, &err))
		walk->told->restored++;
	else if (err.kind != ERROR_UNKNOWN && !walk->ended) {
		walk->ok = false;
		if (walk->err)
			*walk->err = err;
	}
	return walk->ok;
}

static bool walk_repository(void *arg, struct str name)
{
	struct walk *walk = arg;

	buf_clear(&walk->last);
	buf_add(&walk->last, name);
	(void)snprintf(walk->folder, sizeof(walk->folder), "%.*s/blobs/", STR_ARGS(name));
	walk->ok = !walk_goes_on(walk) ||
		   (s3_list_empty(&walk->s3->store, walk->folder, on_empty, walk, walk->err) && walk->ok);
	return walk->ok && !walk->ended;
}

/* Is there the mark? Asked until it is there. */
bool s3_stand_ins_are_settled(struct s3_store *s3, bool *ret, struct error *err)
{
	struct error why;
	uint64_t size;

	*ret = atomic_load(&s3->stand_in.restored);
	if (*ret)
		return true;
	if (s3_head(s3, MARK, &size, NULL, &why)) {
		atomic_store(&s3->stand_in.restored, true);
		*ret = true;
	} else if (why.kind != ERROR_UNKNOWN) {
		if (err)
			*err = why;
		return false;
	}
	return true;
}

static bool walk_all(struct s3_store *s3, const struct pace *pace, struct store_dedupe *ret, bool *ret_whole,
	struct error *err)
{
	struct walk walk = { .s3 = s3,
		.pace = pace,
		.told = ret,
		.last = buf_limit(NAME_MAX_LEN + 1),
		.ok = true,
		.err = err };
	bool more = true;

	walk.steps = (struct pace){ walk_goes_on, &walk };
	while (more && walk.ok && !walk.ended)
		walk.ok = store_catalog(&s3->store, buf_str(&walk.last), PAGE, walk_repository, &walk, &more,
				  err) &&
			  walk.ok;
	buf_fini(&walk.last);
	*ret_whole = walk.ok && !walk.ended;
	return walk.ok;
}

bool s3_dedupe(struct store *store, bool always, const struct pace *pace, const struct would *dry,
	struct store_dedupe *ret, struct error *err)
{
	struct s3_store *s3 = s3_store_of(store);
	struct store_version version;
	bool restored, imported, whole = false;

	if (dry)
		return error_set(err, ERROR_INVALID, NULL, "a bucket is looked through without a dry run");
	if (!s3_stand_ins_are_settled(s3, &restored, err))
		return false;
	if (restored && !always)
		return true;
	ret->again = true;
	if (!is_imported(s3, &imported, err))
		return false;
	if (!imported)
		return true;
	if (!walk_all(s3, pace, ret, &whole, err))
		return false;
	if (!whole)
		return true;
	ret->again = false;
	if (s3_put_if(store, MARK, STR(""), NULL, &version, err) != STORE_OK)
		return false;
	atomic_store(&s3->stand_in.restored, true);
	return true;
}

/* ---- before one goes ---- */

bool s3_settle_stand_ins(struct s3_store *s3, const char *key, uint64_t size, struct error *err)
{
	const char *blob;
	struct search *search;
	struct str name;
	bool ok, restored;

	if (!size || !split(key, &name, &blob))
		return true;
	if (!s3_stand_ins_are_settled(s3, &restored, err) || restored)
		return restored;
	search = search_new(s3, key, blob, NULL);
	search->for_empty = true;
	ok = search_all(search, err);
	search_fini(search);
	return ok;
}
