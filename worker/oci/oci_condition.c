/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_condition.h"

#include "common/str.h"
#include "worker/oci/oci_ask.h"
#include "worker/oci/oci_reply.h"

/* W/"opaque" or "opaque" from the front of *s; a comma may be part of it, a quote may not. */
static bool take_tag(struct str *s, struct str *ret_opaque, bool *ret_weak)
{
	*ret_weak = str_skip(s, "W/");
	return str_skip(s, "\"") && str_until(s, '"', ret_opaque);
}

/* What stands behind a malformed tag is not looked at. */
static bool is_among(const char *list, const struct digest *digest, bool weak_counts)
{
	struct str rest = str_trim(str_of(list)), opaque;
	char wanted[DIGEST_TEXT_SIZE];
	bool is_weak;

	if (str_is(rest, "*"))
		return true;
	digest_format(digest, wanted);
	while (rest.len) {
		if (str_skip(&rest, ",") || str_skip(&rest, " ") || str_skip(&rest, "\t"))
			continue;
		if (!take_tag(&rest, &opaque, &is_weak))
			return false;
		if ((weak_counts || !is_weak) && str_is(opaque, wanted))
			return true;
	}
	return false;
}

enum oci_condition oci_condition(const char *if_match, const char *if_none_match, const struct digest *digest)
{
	if (if_match && !is_among(if_match, digest, false))
		return OCI_CONDITION_FAILED;
	if (if_none_match && is_among(if_none_match, digest, true))
		return OCI_CONDITION_NOT_MODIFIED;
	return OCI_CONDITION_MET;
}

bool oci_if_range(const char *if_range, const struct digest *digest)
{
	struct str rest = str_trim(str_of(if_range)), opaque;
	char wanted[DIGEST_TEXT_SIZE];
	bool is_weak;

	digest_format(digest, wanted);
	return take_tag(&rest, &opaque, &is_weak) && !is_weak && !rest.len && str_is(opaque, wanted);
}

static struct http_response *reply_failed(void)
{
	struct error err;

	/* Not as a conflict: clients repeat after those, and this comes out the same each time. */
	(void)error_set(
		&err, ERROR_INVALID, NULL, "If-Match names another content than the one that is here");
	return oci_reply_status(412, &err);
}

struct http_response *oci_condition_reply(const struct oci_ask *ask, const struct digest *digest)
{
	enum oci_condition condition = oci_condition(ask->if_match, ask->if_none_match, digest);
	struct http_response *response;

	if (condition == OCI_CONDITION_MET)
		return NULL;
	response = condition == OCI_CONDITION_FAILED ? reply_failed() : http_response_empty(304);
	oci_reply_digest(response, digest);
	oci_reply_etag(response, digest);
	return response;
}
