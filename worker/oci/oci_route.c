/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_route.h"

/* A path, cut: the last part is a tag, digest or upload id, where the shape has one. */
struct pieces {
	enum oci_shape shape;
	struct str name, last;
};

/* "a/b/manifests" ends in "/manifests": *name becomes "a/b". */
static bool ends_in(struct str *name, const char *suffix)
{
	if (!str_ends(*name, suffix))
		return false;
	name->len -= strlen(suffix);
	return true;
}

static bool cut_repository(struct str rest, struct pieces *ret)
{
	*ret = (struct pieces){ OCI_SHAPE_TAGS, rest, STR_NONE };
	if (ends_in(&ret->name, "/tags/list"))
		return true;
	ret->shape = OCI_SHAPE_DISCOVER_OF;
	if (ends_in(&ret->name, "/_oci/ext/discover"))
		return true;
	ret->shape = OCI_SHAPE_UPLOADS;
	if (ends_in(&ret->name, "/blobs/uploads") || ends_in(&ret->name, "/blobs/uploads/"))
		return true;
	if (!str_split_last(rest, '/', &ret->name, &ret->last))
		return false;
	if (ends_in(&ret->name, "/blobs/uploads"))
		ret->shape = OCI_SHAPE_UPLOAD;
	else if (ends_in(&ret->name, "/manifests"))
		ret->shape = OCI_SHAPE_MANIFEST;
	else if (ends_in(&ret->name, "/blobs"))
		ret->shape = OCI_SHAPE_BLOB;
	else if (ends_in(&ret->name, "/referrers"))
		ret->shape = OCI_SHAPE_REFERRERS;
	else
		return false;
	return true;
}

static bool cut(struct str path, struct pieces *ret)
{
	*ret = (struct pieces){ .shape = OCI_SHAPE_ROOT };
	if (str_is(path, "/v2") || str_is(path, "/v2/"))
		return true;
	if (!str_skip(&path, "/v2/"))
		return false;
	ret->shape = OCI_SHAPE_CATALOG;
	if (str_is(path, "_catalog"))
		return true;
	ret->shape = OCI_SHAPE_DISCOVER;
	if (str_is(path, "_oci/ext/discover"))
		return true;
	return cut_repository(path, ret);
}

/* A tag that cannot exist is absent for whoever looks for it, and wrong for whoever wants to make it. */
static bool parse_reference(
	enum http_method method, struct str text, struct reference *ret, struct error *err)
{
	if (reference_parse(text, ret, err))
		return true;
	if (method != HTTP_PUT && !memchr(text.at, ':', text.len))
		return error_set(err, ERROR_UNKNOWN, "MANIFEST_UNKNOWN", "there cannot be such a tag");
	return false;
}

static bool parse_last(
	enum http_method method, const struct pieces *pieces, struct oci_route *ret, struct error *err)
{
	switch (pieces->shape) {
	case OCI_SHAPE_ROOT:
	case OCI_SHAPE_CATALOG:
	case OCI_SHAPE_DISCOVER:
	case OCI_SHAPE_DISCOVER_OF:
	case OCI_SHAPE_UPLOADS:
	case OCI_SHAPE_TAGS:
		return true;
	case OCI_SHAPE_MANIFEST:
		return parse_reference(method, pieces->last, &ret->reference, err);
	case OCI_SHAPE_BLOB:
	case OCI_SHAPE_REFERRERS:
		return digest_parse(pieces->last, &ret->digest, err);
	case OCI_SHAPE_UPLOAD:
		return upload_id_parse(pieces->last, &ret->upload, err);
	}
	return false;
}

enum route_found oci_route_parse(enum http_method method, struct str path, struct oci_route *ret,
	unsigned *ret_allowed, struct error *err)
{
	const struct route *row = NULL;
	struct pieces pieces;
	enum route_found found;

	*ret_allowed = 0;
	if (!cut(path, &pieces))
		return ROUTE_NO_PATH;
	found = route_find_shape(oci_routes, pieces.shape, method, &row, ret_allowed);
	if (found != ROUTE_FOUND)
		return found;
	ret->name.text[0] = '\0';
	if (pieces.name.at && !name_parse(pieces.name, &ret->name, err))
		return ROUTE_MALFORMED;
	if (!parse_last(method, &pieces, ret, err))
		return ROUTE_MALFORMED;
	ret->row = row;
	return ROUTE_FOUND;
}
