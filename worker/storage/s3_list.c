/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_list - keys under a folder in byte order: ListObjectsV2, page by page.
 */
#include <inttypes.h>

#include "common/least.h"
#include "s3/s3_xml.h"
#include "worker/storage/pace.h"
#include "worker/storage/s3_priv.h"

#define PAGE_MAX   1000
#define LIST_MAX   (8 * 1024 * 1024)
#define QUERY_MAX  (12 * 1024)
#define BARREN_MAX 16

struct listing {
	struct s3_store *s3;
	struct buf prefix; /* of the bucket: the root and the folder */
	struct buf after;  /* the last key that was seen, whole */
	struct buf token;  /* goes on from there, if the store gave one */
	size_t left;
	size_t seen;     /* names that were new */
	unsigned barren; /* pages without any */
	bool stopped;    /* by fn */
	bool folders;    /* not keys: the folders that they are in */
	bool more;
	bool weighs; /* not keys: how many there are, and their bytes, also in deeper folders */
	uint64_t bytes, blobs;
	bool empty;                    /* not all keys: those of empty objects, also in deeper folders */
	store_driver_object_f *object; /* or: keys with sizes and times */
	store_catalog_f *fn;
	void *arg;
};

/* Of the root, to which the folder is added. */
static struct listing listing_of(struct store *store, size_t n, store_catalog_f *fn, void *arg)
{
	struct listing listing = { .s3 = s3_store_of(store),
		.prefix = buf_limit(2 * STORE_KEY_MAX),
		.after = buf_limit(4 * STORE_KEY_MAX),
		.token = buf_limit(2 * STORE_KEY_MAX),
		.left = n,
		.fn = fn,
		.arg = arg };

	buf_puts(&listing.prefix, listing.s3->client.endpoint.prefix);
	return listing;
}

static void listing_fini(struct listing *listing)
{
	buf_fini(&listing->prefix);
	buf_fini(&listing->after);
	buf_fini(&listing->token);
}

static bool page_query(const struct listing *listing, struct buf *query, struct error *err)
{
	if (listing->token.len) {
		buf_puts(query, "continuation-token=");
		buf_url(query, buf_str(&listing->token), "");
		buf_putc(query, '&');
	}
	if (listing->folders)
		buf_puts(query, "delimiter=%2F&");
	buf_format(query, "list-type=2&max-keys=%zu&prefix=",
		listing->left < PAGE_MAX ? listing->left : (size_t)PAGE_MAX);
	buf_url(query, buf_str(&listing->prefix), "");
	if (!listing->token.len && listing->after.len) {
		buf_puts(query, "&start-after=");
		buf_url(query, buf_str(&listing->after), "");
	}
	return buf_check(query, "query of a list", err);
}

/* Hands on the part of a key behind the prefix; what lies in deeper folders is not ours. */
static void give(struct listing *listing, struct str key)
{
	struct str name = str_from(key.at + listing->prefix.len, key.len - listing->prefix.len);

	if (listing->weighs) {
		listing->seen++;
		return;
	}
	if (!name.len || memchr(name.at, '/', name.len))
		return;
	listing->seen++;
	if (!listing->left || listing->stopped) {
		listing->more = true;
		return;
	}
	listing->left--;
	listing->stopped = !listing->fn(listing->arg, name);
}

static bool read_keys(struct listing *listing, struct str xml, struct error *err)
{
	AUTO_FINI(buf) key = buf_limit(STORE_KEY_MAX);
	struct str raw;

	while (s3_xml_next(&xml, "Key", &raw)) {
		buf_clear(&key);
		if (!s3_xml_unescape(raw, &key))
			return error_set(err, ERROR_INTERNAL, NULL, "S3 list: a key is not readable");
		if (key.len < listing->prefix.len ||
			memcmp(key.at, listing->prefix.at, listing->prefix.len) != 0)
			return error_set(err, ERROR_INTERNAL, NULL, "S3 list: a key that was not asked for");
		/* A store that does not understand start-after would make us turn for ever. */
		if (listing->after.len && str_compare(buf_str(&key), buf_str(&listing->after)) <= 0)
			continue;
		buf_clear(&listing->after);
		buf_add(&listing->after, buf_str(&key));
		give(listing, buf_str(&key));
	}
	return true;
}

static bool read_sizes(struct listing *listing, struct str xml, struct error *err)
{
	struct str raw;
	uint64_t size;

	while (s3_xml_next(&xml, "Size", &raw)) {
		if (!str_to_number(raw, INT64_MAX, &size))
			return error_set(err, ERROR_INTERNAL, NULL, "S3 list: a size is not readable");
		listing->bytes = least(INT64_MAX, listing->bytes + size);
		listing->blobs++;
	}
	return true;
}

static bool read_empty(struct listing *listing, struct str xml, struct error *err)
{
	AUTO_FINI(buf) key = buf_limit(STORE_KEY_MAX);
	struct str raw, size;

	while (!listing->stopped && s3_xml_next(&xml, "Key", &raw)) {
		buf_clear(&key);
		/* It stands behind the key. */
		if (!s3_xml_unescape(raw, &key) || !s3_xml_next(&xml, "Size", &size) ||
			key.len < listing->prefix.len ||
			!str_equal(str_from(key.at, listing->prefix.len), buf_str(&listing->prefix)))
			return error_set(err, ERROR_INTERNAL, NULL, "S3 list: an object is not readable");
		if (listing->after.len && str_compare(buf_str(&key), buf_str(&listing->after)) <= 0)
			continue;
		buf_clear(&listing->after);
		buf_add(&listing->after, buf_str(&key));
		listing->seen++;
		if (str_is(size, "0"))
			listing->stopped = !listing->fn(listing->arg,
				str_from(key.at + listing->prefix.len, key.len - listing->prefix.len));
	}
	return true;
}

/* Of deeper folders, too. */
static bool give_object(struct listing *listing, struct str contents, struct str key, struct error *err)
{
	AUTO_FINI(buf) size = buf_limit(32);
	AUTO_FINI(buf) changed = buf_limit(64);
	struct str name = str_from(key.at + listing->prefix.len, key.len - listing->prefix.len);
	uint64_t bytes;
	int64_t changed_s;

	listing->seen++;
	if (!listing->left || listing->stopped) {
		listing->more = true;
		return true;
	}
	if (!s3_xml_find(contents, "Size", &size) || !str_to_number(buf_str(&size), INT64_MAX, &bytes) ||
		!s3_xml_find(contents, "LastModified", &changed) ||
		!s3_clock_parse_iso(buf_text(&changed), &changed_s))
		return error_set(
			err, ERROR_INTERNAL, NULL, "S3 list: an object has no size or no time that is one");
	listing->left--;
	listing->stopped = !listing->object(listing->arg, name, bytes, changed_s);
	return true;
}

static bool read_objects(struct listing *listing, struct str xml, struct error *err)
{
	AUTO_FINI(buf) key = buf_limit(STORE_KEY_MAX);
	struct str contents;

	while (s3_xml_next_block(&xml, "Contents", &contents)) {
		buf_clear(&key);
		if (!s3_xml_find(contents, "Key", &key) || key.len < listing->prefix.len ||
			!str_equal(str_from(key.at, listing->prefix.len), buf_str(&listing->prefix)))
			return error_set(err, ERROR_INTERNAL, NULL, "S3 list: a key that was not asked for");
		if (listing->after.len && str_compare(buf_str(&key), buf_str(&listing->after)) <= 0)
			continue;
		buf_clear(&listing->after);
		buf_add(&listing->after, buf_str(&key));
		if (!give_object(listing, contents, buf_str(&key), err))
			return false;
	}
	return true;
}

/* <CommonPrefixes><Prefix>root/folder/</Prefix></CommonPrefixes>; the <Prefix> that was asked for stands
 * there too. */
static bool read_folders(struct listing *listing, struct str xml, struct error *err)
{
	AUTO_FINI(buf) key = buf_limit(STORE_KEY_MAX);
	struct str raw;

	while (!listing->stopped && s3_xml_next(&xml, "Prefix", &raw)) {
		buf_clear(&key);
		if (!s3_xml_unescape(raw, &key))
			return error_set(err, ERROR_INTERNAL, NULL, "S3 list: a folder is not readable");
		if (key.len < listing->prefix.len + 2 || key.at[key.len - 1] != '/' ||
			!str_equal(str_from(key.at, listing->prefix.len), buf_str(&listing->prefix)))
			continue;
		/* They come in order: one that came before is a page that comes again. */
		if (listing->after.len && str_compare(buf_str(&key), buf_str(&listing->after)) <= 0)
			continue;
		buf_clear(&listing->after);
		buf_add(&listing->after, buf_str(&key));
		listing->seen++;
		listing->stopped = !listing->fn(listing->arg,
			str_from(key.at + listing->prefix.len, key.len - listing->prefix.len - 1));
	}
	return true;
}

/* *ret_truncated: the store has keys behind this page. */
static bool read_page(struct listing *listing, struct str xml, bool *ret_truncated, struct error *err)
{
	AUTO_FINI(buf) truncated = buf_limit(16);
	size_t seen = listing->seen;

	if (!s3_xml_is(xml, "ListBucketResult") || !s3_xml_find(xml, "IsTruncated", &truncated))
		return error_set(err, ERROR_INTERNAL, NULL, "S3 list: the answer is not a list");
	if (listing->folders      ? !read_folders(listing, xml, err)
		: listing->empty  ? !read_empty(listing, xml, err)
		: listing->object ? !read_objects(listing, xml, err)
				  : !read_keys(listing, xml, err))
		return false;
	if (listing->weighs && !read_sizes(listing, xml, err))
		return false;
	*ret_truncated = str_is(buf_str(&truncated), "true");
	buf_clear(&listing->token);
	if (*ret_truncated && !s3_xml_find(xml, "NextContinuationToken", &listing->token))
		buf_clear(&listing->token);
	if (*ret_truncated && listing->folders && !listing->token.len)
		return error_set(
			err, ERROR_INTERNAL, NULL, "S3 list: there is more, and no word of how to go on");
	if (*ret_truncated && listing->seen == seen && ++listing->barren > BARREN_MAX)
		return error_set(err, ERROR_INTERNAL, NULL, "S3 list: page after page brings nothing new");
	return true;
}

static bool next_page(struct listing *listing, bool *ret_truncated, struct error *err)
{
	struct s3_client *client = &listing->s3->client;
	AUTO_FINI(http_result) result = { 0 };
	AUTO_FINI(buf) query = buf_limit(QUERY_MAX);

	if (!page_query(listing, &query, err))
		return false;
	struct s3_call call = { .method = "GET", .query = buf_str(&query), .answer_max = LIST_MAX };
	return s3_client_send(client, &call, &result, err) &&
	       s3_client_expect_ok(client, &call, &result, err) &&
	       read_page(listing, buf_str(&result.body), ret_truncated, err);
}

static bool run(struct listing *listing, bool *ret_more, struct error *err)
{
	bool truncated = true;

	while (truncated && listing->left && !listing->stopped)
		if (!next_page(listing, &truncated, err))
			return false;
	*ret_more = listing->more || truncated;
	return true;
}

static bool list_all(struct store *store, const char *folder, bool empty, store_catalog_f *fn, void *arg,
	struct error *err)
{
	AUTO_FINI(listing) listing = listing_of(store, SIZE_MAX, fn, arg);
	bool more;

	listing.folders = !empty;
	listing.empty = empty;
	buf_puts(&listing.prefix, folder);
	return buf_check(&listing.prefix, "prefix of a list", err) && run(&listing, &more, err);
}

bool s3_folders(struct store *store, const char *folder, store_catalog_f *fn, void *arg, struct error *err)
{
	return list_all(store, folder, false, fn, arg, err);
}

bool s3_list_empty(struct store *store, const char *folder, store_catalog_f *fn, void *arg, struct error *err)
{
	return list_all(store, folder, true, fn, arg, err);
}

/* A page more where there is one. */
static bool weigh_on(struct listing *listing, const struct pace *pace, bool *ret_truncated, struct error *err)
{
	if (!pace_go_on(pace))
		return error_set(err, ERROR_UNAVAILABLE, NULL, "%s: not counted to the end",
			buf_text(&listing->prefix));
	return next_page(listing, ret_truncated, err);
}

/* blobs/sha256 and blobs/sha512, in one listing. */
bool s3_usage(struct store *store, const char *folder, const struct pace *pace, struct store_usage *ret,
	struct error *err)
{
	AUTO_FINI(listing) listing = listing_of(store, SIZE_MAX, NULL, NULL);
	bool fine, truncated = true;

	listing.weighs = true;
	buf_format(&listing.prefix, "%s/blobs/sha", folder);
	fine = buf_check(&listing.prefix, "prefix of a list", err);
	while (fine && truncated)
		fine = weigh_on(&listing, pace, &truncated, err);
	if (fine)
		*ret = (struct store_usage){ listing.bytes, listing.blobs };
	return fine;
}

static bool list_page(
	struct listing *listing, const char *folder, struct str after, bool *ret_more, struct error *err)
{
	buf_puts(&listing->prefix, folder);
	if (after.len)
		buf_format(&listing->after, "%s%.*s", buf_text(&listing->prefix), STR_ARGS(after));
	return buf_check(&listing->prefix, "prefix of a list", err) &&
	       buf_check(&listing->after, "start of a list", err) && run(listing, ret_more, err);
}

bool s3_list(struct store *store, const char *folder, struct str after, size_t n, store_catalog_f *fn,
	void *arg, bool *ret_more, struct error *err)
{
	AUTO_FINI(listing) listing = listing_of(store, n, fn, arg);

	return list_page(&listing, folder, after, ret_more, err);
}

bool s3_objects(struct store *store, const char *folder, struct str after, size_t n,
	store_driver_object_f *fn, void *arg, bool *ret_more, struct error *err)
{
	AUTO_FINI(listing) listing = listing_of(store, n, NULL, arg);

	listing.object = fn;
	return list_page(&listing, folder, after, ret_more, err);
}
