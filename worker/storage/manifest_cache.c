/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/storage/manifest_cache.h"
