/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/entity_list.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/check.h"
#include "leader/api.h"
#include "leader/rights.h"
#include "proto/entity_query.h"

#define PAGE_DEFAULT  100
#define PAGE_MAX      1000
#define BODY_MAX      (PAGE_MAX * (size_t)ENTITY_BYTES_MAX)
#define PARAMETER_MAX ((size_t)ENTITY_TEXT_MAX + 64)
#define LINK_MAX      (32 * 1024)

/* What is asked. */
struct asked {
	struct api_job *job;
	struct state *state;
	uint64_t n;
	struct buf last, last_value, words, sort, filters[ENTITY_QUERY_FILTERS];
	size_t filters_len;
	bool has_value;
	struct entity_query query;
};

/* One that may be on the page. */
struct candidate {
	struct entity *entity; /* borrowed from the state */
	struct entity_place place;
};

/* The first `n` behind `last`, the last of them at the top: a heap. */
struct page {
	struct asked *asked;
	struct candidate *at;
	size_t len, total, behind; /* behind: how many are behind `last` */
};

static void asked_fini(struct asked *asked)
{
	buf_fini(&asked->last);
	buf_fini(&asked->last_value);
	buf_fini(&asked->words);
	buf_fini(&asked->sort);
	for (size_t i = 0; i < asked->filters_len; i++)
		buf_fini(&asked->filters[i]);
	state_free(asked->state);
}

/* Reading. */

bool entity_list_walks(struct str query)
{
	return http_query_get(query, "filter", NULL) || http_query_get(query, "q", NULL) ||
	       http_query_get(query, "sort", NULL);
}

static bool broken(struct error *err)
{
	return error_set(err, ERROR_INVALID, NULL, "a parameter of the query is broken, or there twice");
}

static bool read_n(const struct api_job *job, uint64_t *ret, struct error *err)
{
	AUTO_FINI(buf) n = buf_limit(32);
	bool given;

	*ret = PAGE_DEFAULT;
	if (api_parameter(job, "n", &n, &given) &&
		(!given || (str_to_number(buf_str(&n), PAGE_MAX, ret) && *ret)))
		return true;
	return error_set(err, ERROR_INVALID, NULL, "n is 1 to %d", PAGE_MAX);
}

static bool read_filters(struct asked *asked, struct error *err)
{
	struct str name, value;

	for (struct str query = asked->job->http->query; http_query_next(&query, &name, &value);) {
		struct buf *into = &asked->filters[asked->filters_len];

		if (!str_is(name, "filter"))
			continue;
		if (asked->filters_len == ENTITY_QUERY_FILTERS)
			return error_set(err, ERROR_TOO_LARGE, NULL, "filter: at most %d are taken",
				ENTITY_QUERY_FILTERS);
		*into = buf_limit(PARAMETER_MAX);
		asked->filters_len++;
		if (!http_unescape(value, true, into) || into->failed)
			return broken(err);
		if (!entity_query_filter(&asked->query, buf_str(into), err))
			return error_add(err, "filter");
	}
	return true;
}

static bool read_order(struct asked *asked, struct error *err)
{
	bool given;

	if (!api_parameter(asked->job, "sort", &asked->sort, &given))
		return broken(err);
	return !given || entity_query_sort(&asked->query, buf_str(&asked->sort), err) ||
	       error_add(err, "sort");
}

static bool read_words(struct asked *asked, struct error *err)
{
	bool given;

	if (!api_parameter(asked->job, "q", &asked->words, &given))
		return broken(err);
	return entity_query_words(&asked->query, buf_str(&asked->words), err) || error_add(err, "q");
}

static bool read_asked(struct asked *asked, struct error *err)
{
	bool given;

	if (!api_parameter(asked->job, "last", &asked->last, &given) ||
		!api_parameter(asked->job, "lastValue", &asked->last_value, &asked->has_value))
		return broken(err);
	return read_n(asked->job, &asked->n, err) && read_filters(asked, err) && read_words(asked, err) &&
	       read_order(asked, err);
}

/* Where the page begins: behind this. */
static bool find_last(const struct asked *asked, struct entity_place *ret, struct error *err)
{
	const struct entity *last = state_find(asked->state, asked->job->kind, buf_str(&asked->last));

	if (asked->has_value || !asked->query.sort)
		return entity_query_place_of(
			       &asked->query, buf_str(&asked->last_value), buf_str(&asked->last), ret, err) ||
		       error_add(err, "lastValue");
	if (!last)
		return error_set(err, ERROR_INVALID, NULL,
			"last: it is not there any more; say with lastValue where the page begins, as Link "
			"does");
	*ret = entity_query_place(&asked->query, last);
	return true;
}

/* The heap. */

static bool is_before(const struct page *page, size_t a, size_t b)
{
	return entity_query_compare(&page->asked->query, &page->at[a].place, &page->at[b].place) < 0;
}

static void swap(struct page *page, size_t a, size_t b)
{
	struct candidate kept = page->at[a];

	page->at[a] = page->at[b];
	page->at[b] = kept;
}

static void rise(struct page *page, size_t at)
{
	while (at && is_before(page, (at - 1) / 2, at)) {
		swap(page, at, (at - 1) / 2);
		at = (at - 1) / 2;
	}
}

static void sink(struct page *page, size_t at)
{
	size_t child;

	while ((child = 2 * at + 1) < page->len) {
		if (child + 1 < page->len && is_before(page, child, child + 1))
			child++;
		if (!is_before(page, at, child))
			return;
		swap(page, at, child);
		at = child;
	}
}

static void take(struct page *page, const struct candidate *candidate)
{
	page->behind++;
	if (page->len < page->asked->n) {
		page->at[page->len++] = *candidate;
		rise(page, page->len - 1);
	} else if (entity_query_compare(&page->asked->query, &candidate->place, &page->at[0].place) < 0) {
		page->at[0] = *candidate;
		sink(page, 0);
	}
}

/* What was a heap is in order: each top goes behind the rest. */
static void put_in_order(struct page *page)
{
	size_t len = page->len;

	while (page->len > 1) {
		swap(page, 0, --page->len);
		sink(page, 0);
	}
	page->len = len;
}

/* Both ways to a page. */

static bool is_listed(const struct asked *asked, const struct entity *entity)
{
	return rights_see(asked->state, &asked->job->who, entity) &&
	       entity_query_matches(&asked->query, entity);
}

static bool walk(struct page *page, struct error *err)
{
	struct asked *asked = page->asked;
	struct entity_place last;
	struct candidate one;

	if (asked->last.len && !find_last(asked, &last, err))
		return false;
	for (size_t i = 0; (one.entity = state_at(asked->state, asked->job->kind, i)); i++) {
		if (!is_listed(asked, one.entity))
			continue;
		page->total++;
		one.place = entity_query_place(&asked->query, one.entity);
		if (!asked->last.len || entity_query_compare(&asked->query, &one.place, &last) > 0)
			take(page, &one);
	}
	put_in_order(page);
	return true;
}

static void slice(struct page *page)
{
	const struct asked *asked = page->asked;
	size_t begin =
		asked->last.len ? state_after(asked->state, asked->job->kind, buf_str(&asked->last)) : 0;

	page->total = state_count(asked->state, asked->job->kind);
	page->behind = page->total - begin;
	for (; page->len < asked->n && page->len < page->behind; page->len++) {
		struct candidate *one = &page->at[page->len];

		one->entity = state_at(asked->state, asked->job->kind, begin + page->len);
		one->place = entity_query_place(&asked->query, one->entity);
	}
}

/* The answer. */

static void put_parameter(struct buf *link, const char *name, struct str value)
{
	buf_format(link, "&%s=", name);
	buf_url(link, value, "");
}

static void put_link(struct http_response *response, const struct page *page)
{
	const struct asked *asked = page->asked;
	const struct entity_place *last = &page->at[page->len - 1].place;
	AUTO_FINI(buf) link = buf_limit(LINK_MAX);
	AUTO_FINI(buf) value = buf_limit(PARAMETER_MAX);

	buf_format(&link, "</api/%s?n=%" PRIu64, entity_kind_name(asked->job->kind), asked->n);
	put_parameter(&link, "last", last->id);
	for (size_t i = 0; i < asked->filters_len; i++)
		put_parameter(&link, "filter", buf_str(&asked->filters[i]));
	if (asked->words.len)
		put_parameter(&link, "q", buf_str(&asked->words));
	if (asked->sort.len)
		put_parameter(&link, "sort", buf_str(&asked->sort));
	if (asked->query.sort) {
		entity_query_value(&asked->query, last, &value);
		put_parameter(&link, "lastValue", buf_str(&value));
	}
	buf_puts(&link, ">; rel=\"next\"");
	if (!link.failed)
		http_response_header(response, "Link", buf_text(&link));
}

static struct http_response *answer(const struct page *page)
{
	struct buf body = buf_limit(BODY_MAX);
	struct json_writer w = json_writer(&body);
	struct http_response *response;

	json_open_object(&w);
	json_put_uint(&w, "total", page->total);
	json_put_uint(&w, "revision", state_revision(page->asked->state));
	json_key(&w, STR("items"));
	json_open_array(&w);
	for (size_t i = 0; i < page->len; i++)
		entity_to_json(page->at[i].entity, &w);
	json_close_array(&w);
	json_close_object(&w);
	response = api_json(200, &body);
	if (page->behind > page->len)
		put_link(response, page);
	return response;
}

static struct http_response *list(struct asked *asked)
{
	struct page page = { .asked = asked, .at = xnew_array(struct candidate, asked->n) };
	struct http_response *response;
	struct error err;
	bool ok = true;

	if (entity_query_is_plain(&asked->query) && asked->job->who.role != LOGIN_KEY_MANAGER)
		slice(&page);
	else
		ok = walk(&page, &err);
	response = ok ? answer(&page) : api_error_of(&err);
	free(page.at);
	return response;
}

struct http_response *entity_list(struct api_job *job)
{
	__attribute__((cleanup(asked_fini))) struct asked asked = { .job = job,
		.state = leader_state(job->leader),
		.last = buf_limit(1024),
		.last_value = buf_limit(PARAMETER_MAX),
		.words = buf_limit(1024),
		.sort = buf_limit(256),
		.query = { .kind = job->kind } };
	struct error err;

	return read_asked(&asked, &err) ? list(&asked) : api_error_of(&err);
}
