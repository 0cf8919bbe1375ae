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

#include "common/route.h"
#include "proto/manifest.h"
#include "proto/name.h"
#include "proto/reference.h"
#include "proto/upload_id.h"

enum oci_operation {
#define OCI_ROUTE(operation, path, shape, methods, flags, right, place, body_max, how) OCI_OPERATION_##operation,
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

enum oci_place { OCI_PLACE_ANYWHERE, OCI_PLACE_OWNER, OCI_PLACE_RECEIVER, OCI_PLACE_HOLDER };

/* Flags of rows, of this table and others. */
enum {
	OCI_API = 1,    /* counts as use of the registry, is timed under its operation, and a change is written down (audit) */
	OCI_WRITES = 2, /* refused where the store is not safe to be written */
	OCI_INDEX = 4,  /* its inline form answers from an index in memory: hits and misses are counted */
	OCI_SCRAPE = 8, /* costs little: without credentials it passes LIMIT, and whoever may without a login is asked for none */
	OCI_AUDITED = 16, /* a change is written down, though it is none of the registry */
	OCI_EXTENSION = 32, /* beside the API: as it, served only by who knows the users */
	OCI_KEPT = 128, /* what it changes lies with the owner of the repository alone, where there are no leaders */
	OCI_OPEN = 64, /* whoever may without a login is asked for none */
};

struct oci_route {
	const struct route *row; /* what: enum oci_operation. Also of other tables; then the rest is empty */
	struct name name;        /* empty for ROOT, CATALOG, DISCOVER */
	union {
		struct reference reference; /* MANIFEST */
		struct digest digest;       /* BLOB, REFERRERS */
		struct upload_id upload;    /* UPLOAD */
	};
};

/* The rows of oci_routes.def. */
extern const struct route_table oci_routes;

/* path is percent-decoded. `*ret` is filled when FOUND; ret_allowed: bits of methods, when NO_METHOD; err says what is MALFORMED: name,
 * reference, digest or upload id. */
enum route_found oci_route_parse(enum http_method method, struct str path, struct oci_route *ret,
	unsigned *ret_allowed, struct error *err) MUST_CHECK;
