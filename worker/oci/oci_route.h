/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_route - which endpoint of the registry's API a path and method name, and with what.
 *
 *   /v2/                                  ROOT
 *   /v2/_catalog                          CATALOG
 *   /v2/_oci/ext/discover                 DISCOVER
 *   /v2/<name>/_oci/ext/discover          DISCOVER_OF
 *   /v2/<name>/manifests/<tag-or-digest>  MANIFEST
 *   /v2/<name>/blobs/<digest>             BLOB
 *   /v2/<name>/blobs/uploads/             UPLOADS
 *   /v2/<name>/blobs/uploads/<id>         UPLOAD
 *   /v2/<name>/tags/list                  TAGS
 *   /v2/<name>/referrers/<digest>         REFERRERS
 *
 * Paths are read from their end, since "blobs", "manifests" and the like are legal in names. To add
 * an endpoint: a row in oci_routes.def and its functions.
 * Thread  any; pure.
 */
#pragma once

#include "common/endpoint.h"
#include "common/http.h"
#include "proto/manifest.h"
#include "proto/name.h"
#include "proto/reference.h"
#include "proto/upload_id.h"

enum oci_operation {
#define OCI_ROUTE(operation, shape, methods, kind, action, place, body_max) OCI_OPERATION_##operation,
#include "worker/oci/oci_routes.def"
#undef OCI_ROUTE
	OCI_OPERATIONS
};

enum oci_shape {
	OCI_SHAPE_ROOT,
	OCI_SHAPE_CATALOG,
	OCI_SHAPE_DISCOVER,
	OCI_SHAPE_DISCOVER_OF,
	OCI_SHAPE_MANIFEST,
	OCI_SHAPE_BLOB,
	OCI_SHAPE_UPLOADS,
	OCI_SHAPE_UPLOAD,
	OCI_SHAPE_TAGS,
	OCI_SHAPE_REFERRERS,
};

enum oci_action {
	OCI_ACTION_NONE,
	OCI_ACTION_READ,
	OCI_ACTION_CREATE,
	OCI_ACTION_MANIFEST_WRITE,
	OCI_ACTION_DELETE
};
enum oci_place { OCI_PLACE_ANYWHERE, OCI_PLACE_OWNER, OCI_PLACE_RECEIVER, OCI_PLACE_HOLDER };

struct oci_row {
	const char *operation;
	enum oci_operation at;
	enum oci_shape shape;
	unsigned methods; /* bits of 1 << enum http_method */
	enum endpoint_kind kind;
	enum oci_action action;
	enum oci_place place;
	size_t body_max;
};

struct oci_route {
	const struct oci_row *row;
	struct name name; /* empty for ROOT, CATALOG, DISCOVER */
	union {
		struct reference reference; /* MANIFEST */
		struct digest digest;       /* BLOB, REFERRERS */
		struct upload_id upload;    /* UPLOAD */
	};
};

enum oci_routed {
	OCI_ROUTED,
	OCI_NO_PATH,   /* nothing of ours: 404 */
	OCI_NO_METHOD, /* *ret_allowed says which there are: 405 */
	OCI_MALFORMED, /* name, reference, digest or upload id: err says */
};
/* path is percent-decoded. `*ret` is filled when ROUTED; ret_allowed: bits of methods. */
enum oci_routed oci_route_parse(enum http_method method, struct str path, struct oci_route *ret,
	unsigned *ret_allowed, struct error *err) MUST_CHECK;
/* "GET, HEAD" */
void oci_route_allow(unsigned allowed, struct buf *into);
