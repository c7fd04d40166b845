/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_main.c - runs a fuzz target without libFuzzer
 *
 *   TARGET [-runs=N] [-max_total_time=SECONDS] [-seed=N] FILE|DIRECTORY...
 *
 * Each file once, then mutations of them until N runs or so many seconds are
 * over: bytes set, bits flipped, numbers that are often wrong, pieces copied,
 * cut, and joined with another seed. No coverage guides it; the same seed gives
 * the same inputs. Other options of libFuzzer's are ignored. Exit 0, or the
 * target's abort.
 */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

enum { INPUT_MAX = 65536, SEEDS_MAX = 4096 };

struct seed {
	uint8_t *data;
	size_t bytes;
};

static struct seed seeds[SEEDS_MAX];
static unsigned seed_count;
static uint64_t state = 1;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void add_file(const char *path)
{
	FILE *f = fopen(path, "rbe");
	struct seed *s = &seeds[seed_count];

	if (!f || seed_count == SEEDS_MAX) {
		fprintf(stderr, "%s: cannot read it\n", path);
		exit(99);
	}
	s->data = malloc(INPUT_MAX);
	if (!s->data)
		exit(99);
	s->bytes = fread(s->data, 1, INPUT_MAX, f);
	seed_count++;
	fclose(f);
}

static void add(const char *path)
{
	struct dirent *e;
	char name[4096];
	struct stat st;
	DIR *dir;

	if (stat(path, &st)) {
		fprintf(stderr, "%s: no such seeds\n", path);
		exit(99);
	}
	if (!S_ISDIR(st.st_mode)) {
		add_file(path);
		return;
	}
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		add_file(name);
	}
	if (dir)
		closedir(dir);
}

static void mutate_once(uint8_t *data, size_t *bytes)
{
	static const uint64_t odd[] = { 0, 1, 64, 4095, 4096, 0x7fffffff,
					0x80000000, 0xffffffff, ~0ull - 63,
					~0ull };
	const struct seed *other = &seeds[next_random() % seed_count];
	size_t at = *bytes ? next_random() % *bytes : 0;
	size_t n = 1 + next_random() % 64;
	uint64_t value = odd[next_random() % (sizeof(odd) / sizeof(*odd))];

	switch (next_random() % 7) {
	case 0:
		if (*bytes)
			data[at] = (uint8_t)next_random();
		break;
	case 1:
		if (*bytes)
			data[at] ^= (uint8_t)(1u << next_random() % 8);
		break;
	case 2:
		n = 1u << next_random() % 4;
		if (at + n <= *bytes)
			memcpy(data + at, &value, n);
		break;
	case 3: /* cut */
		if (at + n <= *bytes) {
			memmove(data + at, data + at + n, *bytes - at - n);
			*bytes -= n;
		}
		break;
	case 4: /* double a piece */
		if (at + n <= *bytes && *bytes + n <= INPUT_MAX) {
			memmove(data + at + n, data + at, *bytes - at);
			*bytes += n;
		}
		break;
	case 5: /* go on with another seed */
		if (other->bytes <= INPUT_MAX - at) {
			memcpy(data + at, other->data, other->bytes);
			*bytes = at + other->bytes;
		}
		break;
	default: /* end here */
		if (next_random() % 4 == 0)
			*bytes = at;
	}
}

static void run_mutation(void)
{
	static uint8_t data[INPUT_MAX];
	const struct seed *s = &seeds[next_random() % seed_count];
	unsigned times = 1 + next_random() % 8;
	size_t bytes = s->bytes;
	uint8_t *exact;

	memcpy(data, s->data, bytes);
	while (times--)
		mutate_once(data, &bytes);
	/* of the right size, so that a sanitizer sees reading beyond it */
	exact = malloc(bytes ? bytes : 1);
	if (!exact)
		exit(99);
	memcpy(exact, data, bytes);
	LLVMFuzzerTestOneInput(exact, bytes);
	free(exact);
}

int main(int argc, char **argv)
{
	unsigned long runs = 0, limit = 0, seconds = 0, i;
	time_t begin;
	int a;

	for (a = 1; a < argc; a++)
		if (!strncmp(argv[a], "-runs=", 6))
			limit = strtoul(argv[a] + 6, NULL, 0);
		else if (!strncmp(argv[a], "-max_total_time=", 16))
			seconds = strtoul(argv[a] + 16, NULL, 0);
		else if (!strncmp(argv[a], "-seed=", 6))
			state = strtoul(argv[a] + 6, NULL, 0) | 1;
		else if (argv[a][0] != '-')
			add(argv[a]);
	LLVMFuzzerInitialize(&argc, &argv);
	for (i = 0; i < seed_count; i++, runs++)
		LLVMFuzzerTestOneInput(seeds[i].data, seeds[i].bytes);
	begin = time(NULL);
	while (seed_count && runs < limit) {
		if (seconds && time(NULL) - begin >= (time_t)seconds)
			break;
		run_mutation();
		runs++;
	}
	printf("%lu runs of %u seeds and their mutations\n", runs, seed_count);
	for (i = 0; i < seed_count; i++)
		free(seeds[i].data);
	return seed_count ? 0 : 99;
}
