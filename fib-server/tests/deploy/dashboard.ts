// The type of a dashboard with the panels that ours has, put together from Grafana's own.
//
// In JSON an enumeration is its value, and `Dashboard` leaves open what each kind of panel and of data
// source adds.

import type { AnnotationQuery, Dashboard, DataQuery, FieldConfig, Panel, RowPanel } from "@grafana/schema";
import type {
    FieldConfig as HeatmapFields,
    Options as HeatmapOptions,
} from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type { Options as StatOptions } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type {
    FieldConfig as TableFields,
    Options as TableOptions,
} from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type {
    FieldConfig as SeriesFields,
    Options as SeriesOptions,
} from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

type Json<T> = T extends string
    ? `${T}`
    : T extends boolean | number | null | undefined
      ? T
      : T extends (infer Item)[]
        ? Json<Item>[]
        : T extends object
          ? { [Key in keyof T]: Json<T[Key]> }
          : T;

/** What the data source for Prometheus adds to a query. */
interface Query extends DataQuery {
    expr: string;
    legendFormat?: string;
    format?: "time_series" | "table" | "heatmap";
    editorMode?: "code" | "builder";
    range?: boolean;
    instant?: boolean;
}

/** ... and to an annotation. */
interface Annotation extends Omit<AnnotationQuery, "target"> {
    target?: Query;
    titleFormat?: string;
    textFormat?: string;
    tagKeys?: string;
}

interface Fields<Custom> extends Omit<FieldConfig, "custom"> {
    custom?: Partial<Custom>;
}

interface Of<Type extends string, Options, Custom>
    extends Omit<Panel, "type" | "targets" | "options" | "fieldConfig"> {
    type: Type;
    targets: Query[];
    options: Partial<Options>;
    fieldConfig: Omit<NonNullable<Panel["fieldConfig"]>, "defaults"> & { defaults: Fields<Custom> };
}

type Panels =
    | Of<"heatmap", HeatmapOptions, HeatmapFields>
    | Of<"stat", StatOptions, never>
    | Of<"table", TableOptions, TableFields>
    | Of<"timeseries", SeriesOptions, SeriesFields>
    | (RowPanel & { type: "row" });

export type D = Json<
    Omit<Dashboard, "annotations" | "panels"> & { annotations: { list: Annotation[] }; panels: Panels[] }
>;
