/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceilings - usage.ceilings: how far this boot may have used its grants, on disk before it does.
 *
 *     zot ceilings 2 <boot>
 *     <16 hex digits: checksum of the boot and the rest> <window> <ceiling> <subject in base64>
 *
 * Format 1 had keys and days alone. A later line of a subject and window (proto/limits.h) counts instead of an earlier one. The file is appended to and synced, and written whole
 * (temp, fsync, rename, fsync of the folder) at first and when it has grown. When a boot was killed the next one closes its
 * grants at these numbers: what was between use and ceiling is lost to the quota, no more.
 *
 * What a power cut may leave behind the last line that was synced is passed over. A damaged line with good ones behind it
 * is not such an end: the file is not believed then, and nothing is closed.
 * Thread  one at a time, and one that may block.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "proto/limits.h"

#define CEILINGS_MAX (64u * 1024 * 1024)
#define CEILINGS_BOOT_SIZE 256

struct ceiling {
	char *apikey; /* the subject */
	char day[LIMITS_WINDOW_SIZE]; /* the window */
	uint64_t used; /* at most */
};
void ceiling_list_free(struct ceiling *list, size_t len);

struct ceilings;
struct ceilings *ceilings_new(const char *path, const char *boot);
void ceilings_free(struct ceilings *ceilings);
AUTO_DEFINE(ceilings)
/* A new file is due: there is none of ours, or it has grown large. */
bool ceilings_wants_all(const struct ceilings *ceilings);
/* All that there is. When it fails, what was there before is there. */
bool ceilings_write(struct ceilings *ceilings, const struct ceiling *list, size_t len, struct error *err) MUST_CHECK;
/* Those that changed. When it fails, the file is to be removed. */
bool ceilings_append(struct ceilings *ceilings, const struct ceiling *list, size_t len, struct error *err) MUST_CHECK;
bool ceilings_remove(struct ceilings *ceilings, struct error *err) MUST_CHECK;

/* Of an earlier boot. No file: true, and *ret_boot is empty. */
bool ceilings_load(const char *path, char ret_boot[CEILINGS_BOOT_SIZE], struct ceiling **ret_list, size_t *ret_len, struct error *err) MUST_CHECK;
