import { screen, waitFor, within } from "@testing-library/react";
import { Button } from "antd";
import { expect, test } from "vitest";
import { choose, pass } from "../../test/act";
import { page, refuse, server, UNREACHABLE } from "../../test/api";
import * as make from "../../test/make";
import { show } from "../../test/show";
import { useAddress } from "../address";
import { api, ok, type Schemas } from "../api/client";
import { queryClient } from "../query";
import { Filter } from "./Filter";
import { by, type Column, ListPage } from "./ListPage";

const PATH = "/api/v1/notebooks";
type Notebook = Schemas["NotebookOut"];
type State = Schemas["State"];
const STATES: State[] = ["running", "stopped"];

const COLUMNS: Column<Notebook>[] = [
  { title: "Name", dataIndex: "name", sort: "name" },
  { title: "Created", dataIndex: "created_at", sort: "created_at" },
  { title: "Cost", dataIndex: "price", sorter: by((one) => Number(one.price)) },
  { key: "actions", render: (_, one) => <Button aria-label={`Stop ${one.name}`}>Stop</Button> },
];

function List({ local }: { local?: boolean }) {
  const [state, setState] = useAddress<State>("state");
  return (
    <ListPage
      title="Notebooks"
      queryKey={["notebooks", { state }]}
      load={(query) => ok(api.GET(PATH, { params: { query: { ...query, state: state && [state] } } }))}
      columns={COLUMNS}
      rowKey={(one) => one.id}
      filtered={Boolean(state)}
      filters={
        <Filter
          label="State"
          value={state}
          onChange={setState}
          options={STATES.map((value) => ({ value, label: value }))}
        />
      }
      file={{ path: PATH, query: { state } }}
      bulk={(rows, done) => <Button onClick={done}>Stop {rows.map((one) => one.name).join(" and ")}</Button>}
      expanded={(one) => <p>All about {one.name}</p>}
      empty="No notebooks yet."
      local={local}
    />
  );
}

const named = (...names: string[]) => names.map((name) => make.notebook({ id: name, name }));
const queries = () => server.calls("get", PATH).map(({ query }) => query.toString());
const address = () => window.location.search;
const rows = () =>
  [...document.querySelectorAll<HTMLElement>("tr.ant-table-row")].map(
    (row) => within(row).getAllByRole("cell")[2]?.textContent,
  );
/** The table's head is there twice: the second one only measures. */
const chooseAll = () => screen.getAllByRole("checkbox", { name: "Choose all rows" })[0] as HTMLElement;

test("waits with a skeleton until the first answer is there", async () => {
  const release = server.hold("get", PATH);
  show(<List />);
  expect(document.querySelector(".ant-skeleton")).toBeVisible();
  expect(screen.queryByRole("table")).toBeNull();
  release(page(named("first")));
  expect(await screen.findByText("first")).toBeVisible();
  expect(document.querySelector(".ant-skeleton")).toBeNull();
  expect(screen.getByRole("status")).toHaveTextContent("Rows: 1");
});

test("with nothing there, says what to do, and offers to take no filter away", async () => {
  server.on("get", PATH, page<Notebook>([]));
  show(<List />);
  expect(await screen.findByText("No notebooks yet.")).toBeVisible();
  expect(screen.queryByRole("button", { name: /take search/i })).toBeNull();
});

test("with nothing that matches, says so, and takes search and filter away at a click", async () => {
  server.on("get", PATH, ({ query }) => page(query.has("search") ? [] : named("first")));
  const { user } = show(<List />, { at: "/?search=nothing&state=running&tab=mine" });
  expect(await screen.findByText(/^Nothing matches/)).toBeVisible();
  expect(screen.queryByText("No notebooks yet.")).toBeNull();
  await user.click(screen.getByRole("button", { name: "Take search and filters away" }));
  expect(await screen.findByText("first")).toBeVisible();
  expect(address()).toBe("?tab=mine");
  expect(screen.getByLabelText("Search")).toHaveValue("");
});

test("an error says what and the cure, and tries again at a click", async () => {
  server.on("get", PATH, refuse(403, { detail: "Only a miner may do this.", cure: "Ask an operator." }));
  const { user } = show(<List />);
  expect(await screen.findByText("Only a miner may do this.")).toBeVisible();
  expect(screen.getByText("Ask an operator.")).toBeVisible();
  expect(queries()).toHaveLength(1);
  server.on("get", PATH, page(named("first")));
  await user.click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByText("first")).toBeVisible();
});

test("a server that is away is asked three times before an error is shown", async () => {
  server.on("get", PATH, UNREACHABLE);
  show(<List />);
  expect(await screen.findByText("The server cannot be reached.")).toBeVisible();
  expect(queries()).toHaveLength(3);
});

test("rows stay while the server is away, and are said to be old", async () => {
  server.on("get", PATH, page(named("first")));
  show(<List />);
  await screen.findByText("first");
  server.on("get", PATH, refuse(503));
  void queryClient.invalidateQueries();
  expect(await screen.findByText("The server cannot be reached: this is how it was.")).toBeVisible();
  expect(screen.getByText("first")).toBeVisible();
});

test("what is typed is looked for at the server, in one question, and kept in the address", async () => {
  server.on("get", PATH, ({ query }) => page(named(query.get("search") ?? "all")));
  const { user } = show(<List />);
  await screen.findByText("all");
  await user.type(screen.getByLabelText("Search"), "  lab ");
  expect(queries()).toEqual(["limit=50"]);
  expect(await screen.findByText("lab")).toBeVisible();
  expect(queries()).toEqual(["limit=50", "limit=50&search=lab"]);
  expect(address()).toBe("?search=lab");
});

test("a link brings search, filter and order", async () => {
  server.on("get", PATH, page(named("lab")));
  show(<List />, { at: "/?search=lab&sort=-created_at&state=stopped" });
  await screen.findByText("lab");
  expect(screen.getByLabelText("Search")).toHaveValue("lab");
  const [query] = server.calls("get", PATH).map((call) => Object.fromEntries(call.query));
  expect(query).toEqual({ limit: "50", search: "lab", sort: "-created_at", state: "stopped" });
  expect(screen.getByRole("columnheader", { name: /Created/ })).toHaveAttribute("aria-sort", "descending");
});

test("the way back brings the search back", async () => {
  server.on("get", PATH, ({ query }) => page(named(query.get("search") ?? "all")));
  show(<List />, { at: "/?search=lab" });
  await screen.findByText("lab");
  window.history.pushState({ key: "k2", usr: null, idx: 1 }, "", "/?search=other");
  window.dispatchEvent(new PopStateEvent("popstate", { state: { key: "k2", usr: null, idx: 1 } }));
  expect(await screen.findByText("other")).toBeVisible();
  expect(screen.getByLabelText("Search")).toHaveValue("other");
});

test("a filter narrows the list and is kept in the address; none is all", async () => {
  server.on("get", PATH, ({ query }) => page(named(query.get("state") ?? "all")));
  const { user } = show(<List />);
  await screen.findByText("all");
  await choose(user, screen.getByLabelText("State"), "stopped");
  await waitFor(() => expect(rows()).toEqual(["stopped"]));
  expect(address()).toBe("?state=stopped");
  await user.click(document.querySelector(".ant-select-clear") as Element);
  expect(await screen.findByText("all")).toBeVisible();
  expect(address()).toBe("");
});

test("the server sorts: up, down, as it comes", async () => {
  server.on("get", PATH, page(named("b", "a")));
  const { user } = show(<List />);
  const head = await screen.findByRole("columnheader", { name: /Name/ });
  for (const sort of ["?sort=name", "?sort=-name", ""]) {
    await user.click(head);
    await waitFor(() => expect(address()).toBe(sort));
  }
  expect(queries()).toEqual(["limit=50", "limit=50&sort=name", "limit=50&sort=-name"]);
  expect(rows()).toEqual(["b", "a"]);
});

test("more rows come by the cursor, behind those that are there", async () => {
  server.on("get", PATH, ({ query }) =>
    query.get("cursor") === "c2" ? page(named("third")) : page(named("first", "second"), "c2"),
  );
  const { user } = show(<List />);
  await screen.findByText("first");
  expect(screen.getByRole("status")).toHaveTextContent("The first 2 rows");
  await user.click(screen.getByRole("button", { name: "Load more" }));
  await screen.findByText("third");
  expect(rows()).toEqual(["first", "second", "third"]);
  expect(screen.getByRole("status")).toHaveTextContent("Rows: 3");
  expect(screen.queryByRole("button", { name: "Load more" })).toBeNull();
});

test("the file is of what is shown: narrowed and sorted", async () => {
  server.on("get", PATH, page(named("lab")));
  const { user } = show(<List />, { at: "/?search=lab&sort=-name&state=stopped" });
  await screen.findByText("lab");
  await user.click(screen.getByRole("button", { name: "Export" }));
  const csv = await screen.findByRole("link", { name: /CSV/ });
  expect(csv).toHaveAttribute("href", `${PATH}?format=csv&search=lab&sort=-name&state=stopped`);
  expect(csv).toHaveAttribute("download");
  expect(screen.getByRole("link", { name: /JSON lines/ })).toHaveAttribute(
    "href",
    `${PATH}?format=jsonl&search=lab&sort=-name&state=stopped`,
  );
});

test("rows are chosen, and what can be done with them stands in a bar until they are let go", async () => {
  server.on("get", PATH, page(named("first", "second", "third")));
  const { user } = show(<List />);
  await screen.findByText("first");
  const bar = () => screen.queryByRole("region", { name: "The chosen rows" });
  expect(bar()).toBeNull();
  const [, second] = screen.getAllByRole("checkbox", { name: "Choose this row" });
  await user.click(second as HTMLElement);
  expect(bar()).toHaveTextContent("Chosen: 1");
  expect(bar()).toHaveTextContent("Stop second");
  await user.click(chooseAll());
  expect(bar()).toHaveTextContent("Chosen: 3");
  await user.click(screen.getByRole("button", { name: "Let go" }));
  expect(bar()).toBeNull();
  await user.click(second as HTMLElement);
  await user.click(within(bar() as HTMLElement).getByRole("button", { name: "Stop second" }));
  expect(bar()).toBeNull();
});

test("a chosen row that is gone is not chosen any more", async () => {
  server.on("get", PATH, page(named("first", "second")));
  const { user } = show(<List />);
  await screen.findByText("first");
  await user.click(chooseAll());
  server.on("get", PATH, page(named("second")));
  void queryClient.invalidateQueries();
  await waitFor(() => expect(screen.getByRole("region")).toHaveTextContent("Chosen: 1"));
  expect(screen.getByRole("region")).toHaveTextContent("Stop second");
});

test("a row opens to show more", async () => {
  server.on("get", PATH, page(named("first")));
  const { user } = show(<List />);
  await user.click(await screen.findByRole("button", { name: "Expand row" }));
  expect(await screen.findByText("All about first")).toBeVisible();
});

test("a list in a dialog leaves the page's address alone", async () => {
  server.on("get", PATH, ({ query }) => page(named(query.get("search") ?? "all")));
  const { user } = show(<List local />, { at: "/?search=page" });
  expect(await screen.findByText("all")).toBeVisible();
  await user.type(screen.getByLabelText("Search"), "lab");
  expect(await screen.findByText("lab")).toBeVisible();
  expect(address()).toBe("?search=page");
});

test("on a phone rows are cards, which can be chosen, opened, and sorted by a choice", async () => {
  server.on("get", PATH, page(named("first", "second")));
  const { user } = show(<List />, { width: 390 });
  expect(await screen.findByText("first")).toBeVisible();
  expect(screen.queryByRole("table")).toBeNull();
  expect(screen.getByRole("button", { name: "Stop first" })).toBeVisible();
  expect(screen.getByText("All about first")).toBeInTheDocument();
  const [first] = screen.getAllByRole("checkbox", { name: "Choose this row" });
  await user.click(first as HTMLElement);
  expect(screen.getByRole("region")).toHaveTextContent("Stop first");
  await choose(user, screen.getByLabelText("Sort by"), "Created");
  await waitFor(() => expect(address()).toBe("?sort=created_at"));
  await user.click(screen.getByRole("button", { name: "Ascending" }));
  await waitFor(() => expect(address()).toBe("?sort=-created_at"));
});

test("what is shown is asked for again every ten seconds", async () => {
  server.on("get", PATH, page(named("first")));
  show(<List />);
  await screen.findByText("first");
  server.on("get", PATH, page(named("later")));
  await pass(10_000);
  expect(await screen.findByText("later")).toBeVisible();
});
