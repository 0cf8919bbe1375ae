/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_plan - what of one repository stays and what goes, by one view of its index.
 *
 *     view --> rows of tags and manifests, with their links (indexes are read) --> retention_decide()
 *
 * Memory  some 200 bytes for each tag and manifest, 8 for each link, RETENTION_LINKS_MAX of them at most; freed with the plan.
 * Thread  pool: indexes are read from the store.
 */
#pragma once

#include "proto/retention_decide.h"
#include "worker/index/index.h"

#define RETENTION_LINKS_MAX 4000000

struct entity;
struct registry;

struct retention_plan {
	struct retention_terms terms;
	struct index *view;              /* that it was made by */
	struct retention_tag *tags;      /* names are the view's */
	struct retention_manifest *manifests;
	struct retention_verdict *tag_verdicts, *manifest_verdicts;
	size_t tags_len, manifests_len;
	/* Private. */
	size_t *links;
};

/* The terms' retention and the limits outlive it. limits: the `repository` entity that decides, or NULL. NAME_UNKNOWN; ERROR_TOO_LARGE. */
bool retention_plan_new(struct retention_plan **ret, struct registry *registry, struct str name, const struct retention_terms *terms,
	const struct entity *limits, int64_t now_ms, struct error *err) MUST_CHECK;
void retention_plan_free(struct retention_plan *plan);
AUTO_DEFINE(retention_plan)
