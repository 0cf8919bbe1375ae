/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_page.h"

#include "common/http.h"

static bool parse_n(struct str query, size_t n_max, struct oci_page *ret, struct error *err)
{
	AUTO_FINI(buf) value = buf_limit(32);
	unsigned count = http_query_get(query, "n", &value);
	uint64_t n;

	ret->n = n_max;
	if (!count)
		return true;
	if (count > 1)
		return error_set(err, ERROR_INVALID, NULL, "n is given more than once");
	if (value.failed || !str_to_number(buf_str(&value), INT64_MAX, &n))
		return error_set(err, ERROR_INVALID, NULL, "n must be a number, 0 or more");
	ret->has_n = true;
	if (n < n_max)
		ret->n = (size_t)n;
	return true;
}

bool oci_page_parse(struct str query, size_t n_max, struct oci_page *ret, struct error *err)
{
	AUTO_FINI(buf) last = buf_limit(OCI_LAST_MAX + 1);
	struct oci_page page = { 0 };
	unsigned count;

	if (!parse_n(query, n_max, &page, err))
		return false;
	count = http_query_get(query, "last", &last);
	if (count > 1)
		return error_set(err, ERROR_INVALID, NULL, "last is given more than once");
	if (last.failed || !str_copy(buf_str(&last), page.last, sizeof(page.last)))
		return error_set(err, ERROR_INVALID, NULL, "last is too long");
	page.has_last = count;
	*ret = page;
	return true;
}

void oci_page_link(struct str path, size_t n, struct str last, const char *more, struct buf *into)
{
	buf_putc(into, '<');
	buf_url(into, path, "/");
	buf_format(into, "?n=%zu&last=", n);
	buf_url(into, last, "");
	buf_format(into, "%s>; rel=\"next\"", more);
}
