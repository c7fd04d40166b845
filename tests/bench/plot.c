/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plot.c - a bar chart as SVG: a panel for each metric that matters
 *
 * A panel is one metric of one family of workloads; each case is a pair of
 * bars, as long as the median, with a line from quartile to quartile. Nothing
 * but shapes and text, so any browser shows it.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "transport.h"
#include "workload.h"

#define WIDTH 760
#define LEFT 190
#define RIGHT 130
#define BAR 15
#define GAP 10
#define HEAD 34

static const char *const colours[] = { "#8a94a6", "#2563eb", "#d97706" };

struct plot {
	const struct bench_report *report;
	FILE *f;
	int y;
};

static bool case_shows(const struct case_results *c,
		       const struct metric *metrics, enum metric_family family)
{
	(void)metrics;
	return c->c.workload->metrics == family && c->series_count;
}

static double panel_scale(const struct plot *p, enum metric_family family,
			  const struct metric *m, unsigned *cases)
{
	struct summary s;
	double most = 0;
	unsigned i, k;

	*cases = 0;
	for (i = 0; i < p->report->case_count; i++) {
		const struct case_results *c = &p->report->cases[i];

		if (!case_shows(c, m, family))
			continue;
		++*cases;
		for (k = 0; k < c->series_count; k++) {
			summary_of(&c->series[k], m, &s);
			if (s.count)
				most = fmax(most, fmax(s.median, s.high));
		}
	}
	return most > 0 ? (WIDTH - LEFT - RIGHT) / most : 0;
}

static void plot_bar(struct plot *p, const struct series *series,
		     const struct metric *m, double scale, unsigned colour)
{
	int middle = p->y + BAR / 2;
	struct summary s;

	summary_of(series, m, &s);
	if (!s.count) {
		fprintf(p->f, "<text x='%d' y='%d'>%s: no data</text>\n",
			LEFT + 4, p->y + BAR - 3, series->transport->name);
		p->y += BAR + 2;
		return;
	}
	fprintf(p->f,
		"<rect x='%d' y='%d' width='%.1f' height='%d' fill='%s'/>\n"
		"<line x1='%.1f' x2='%.1f' y1='%d' y2='%d' stroke='#111' "
		"stroke-width='1.5'/>\n"
		"<text x='%.1f' y='%d'>%.4g %s</text>\n",
		LEFT, p->y, s.median * scale, BAR, colours[colour % 3],
		LEFT + s.low * scale, LEFT + s.high * scale, middle, middle,
		LEFT + fmax(s.median, s.high) * scale + 6, p->y + BAR - 3,
		s.median, series->transport->name);
	p->y += BAR + 2;
}

static void plot_panel(struct plot *p, enum metric_family family,
		       const struct metric *m)
{
	unsigned i, k, cases;
	double scale;
	char name[64];

	scale = panel_scale(p, family, m, &cases);
	if (!cases || scale <= 0)
		return;
	p->y += HEAD;
	fprintf(p->f, "<text x='12' y='%d' class='h'>%s, %s (%s is better)"
		"</text>\n", p->y - 10, m->title, m->unit,
		m->more_is_better ? "more" : "less");
	for (i = 0; i < p->report->case_count; i++) {
		const struct case_results *c = &p->report->cases[i];

		if (!case_shows(c, m, family))
			continue;
		case_name(&c->c, name, sizeof(name));
		fprintf(p->f, "<text x='%d' y='%d' text-anchor='end'>%s"
			"</text>\n", LEFT - 8, p->y + BAR, name);
		for (k = 0; k < c->series_count; k++)
			plot_bar(p, &c->series[k], m, scale, k);
		p->y += GAP;
	}
}

static void plot_body(struct plot *p)
{
	static const enum metric_family families[] = {
		METRICS_BULK, METRICS_LATENCY, METRICS_IDLE
	};
	const struct metric *metrics;
	unsigned i, k, count;

	for (i = 0; i < 3; i++) {
		metrics = metrics_of(families[i], &count);
		for (k = 0; k < count; k++)
			plot_panel(p, families[i], &metrics[k]);
	}
}

static void plot_frame(struct plot *p, int height)
{
	fprintf(p->f,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' "
		"height='%d' viewBox='0 0 %d %d'>\n"
		"<style>text{font:12px sans-serif;fill:#111}"
		".h{font-weight:bold;font-size:14px}</style>\n"
		"<rect width='100%%' height='100%%' fill='#fff'/>\n"
		"<text x='12' y='24' class='h'>vtoe beside the kernel's own "
		"sockets on the same path: medians, with quartiles</text>\n",
		WIDTH, height, WIDTH, height);
}

int bench_plot_write(const struct bench_report *report, const char *path)
{
	struct plot p = { .report = report };
	int height;

	/* The first pass only finds out how high the drawing is. */
	p.f = fopen("/dev/null", "we");
	if (!p.f)
		goto fail;
	p.y = 40;
	plot_body(&p);
	height = p.y + 20;
	fclose(p.f);

	p.f = fopen(path, "we");
	if (!p.f)
		goto fail;
	p.y = 40;
	plot_frame(&p, height);
	plot_body(&p);
	fputs("</svg>\n", p.f);
	if (!fclose(p.f))
		return 0;
fail:
	fprintf(stderr, "vtoe-bench: --plot '%s': %s\n", path, strerror(errno));
	return -1;
}
