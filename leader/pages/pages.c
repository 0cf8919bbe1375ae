/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/pages/pages.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/gzip.h"
#include "leader/pages/files.h"

#define GZIP_LEVEL 9
#define TAG_DIGITS 32 /* of the SHA-256 */
#define POLICY                                                                                               \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src "        \
	"'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

struct page {
	struct pages_file file;
	const char *type;
	struct buf gzip; /* empty where it is no shorter */
	char tag[TAG_DIGITS + 3];
};

struct pages {
	struct page *at;
	size_t len;
};

static const char *type_of(struct str name)
{
	static const struct {
		const char *end, *type;
	} types[] = { { ".html", "text/html; charset=utf-8" }, { ".js", "text/javascript; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" }, { ".json", "application/json" },
		{ ".svg", "image/svg+xml" }, { ".png", "image/png" }, { ".ico", "image/x-icon" },
		{ ".woff2", "font/woff2" } };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (str_ends(name, types[i].end))
			return types[i].type;
	return "text/plain; charset=utf-8";
}

static void fill(struct page *page, struct pages_file file)
{
	char hex[65];

	page->file = file;
	page->type = type_of(str_of(file.name));
	page->gzip = buf_limit(file.bytes.len);
	if (!gzip_compress(file.bytes, GZIP_LEVEL, &page->gzip, NULL))
		buf_fini(&page->gzip);
	hash_sha256_hex(file.bytes, hex);
	(void)snprintf(page->tag, sizeof(page->tag), "\"%.*s\"", TAG_DIGITS, hex);
}

struct pages *pages_new(void)
{
	struct pages *pages = xnew(struct pages);

	pages->len = pages_files();
	pages->at = xnew_array(struct page, pages->len);
	for (size_t i = 0; i < pages->len; i++)
		fill(&pages->at[i], pages_file(i));
	return pages;
}

void pages_free(struct pages *pages)
{
	if (!pages)
		return;
	for (size_t i = 0; i < pages->len; i++)
		buf_fini(&pages->at[i].gzip);
	free(pages->at);
	free(pages);
}

static const struct page *find(const struct pages *pages, struct str path)
{
	struct str name = str_is(path, "/") ? STR("index.html") : path;

	if (name.at == path.at && !str_skip(&name, "/assets/"))
		return NULL;
	for (size_t i = 0; i < pages->len; i++)
		if (str_is(name, pages->at[i].file.name))
			return &pages->at[i];
	return NULL;
}

static void put_head(struct http_response *response, const struct page *page)
{
	http_response_header(response, "ETag", page->tag);
	http_response_header(response, "Cache-Control", "no-cache");
	http_response_header(response, "Vary", "Accept-Encoding");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	http_response_header(response, "Content-Security-Policy", POLICY);
	http_response_header(response, "Referrer-Policy", "no-referrer");
}

/* If-None-Match, where a proxy may have made the tag a weak one. */
static bool is_known(const char *header, const char *tag)
{
	struct str list = str_of(header), item;

	while (str_next(&list, ',', &item)) {
		(void)str_skip(&item, "W/");
		if (str_is(item, tag) || str_is(item, "*"))
			return true;
	}
	return false;
}

static struct http_response *body_of(const struct page *page, const struct http_request *request)
{
	bool gzip = page->gzip.len && http_accepts(http_request_header(request, "Accept-Encoding"), "gzip");
	struct str bytes = gzip ? buf_str(&page->gzip) : page->file.bytes;
	struct http_response *response = http_response_shared(200, bytes, NULL, NULL);

	http_response_header(response, "Content-Type", page->type);
	if (gzip)
		http_response_header(response, "Content-Encoding", "gzip");
	return response;
}

struct http_response *pages_reply(const struct pages *pages, const struct http_request *request)
{
	const struct page *page = find(pages, http_request_path(request));
	struct http_response *response;

	if (!page)
		return NULL;
	if (is_known(http_request_header(request, "If-None-Match"), page->tag))
		response = http_response_empty(304);
	else
		response = body_of(page, request);
	put_head(response, page);
	return response;
}
