import "@shared/i18n";
import "@shared/shared.css";
import { queryClient } from "@shared/query";
import { MustSetUp } from "@shared/security/Security";
import { SessionGate } from "@shared/session";
import { Theme } from "@shared/theme";
import { Login } from "@shared/ui/Login";
import { Waiting } from "@shared/ui/Shell";
import { QueryClientProvider } from "@tanstack/react-query";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router-dom";
import { Admin } from "./Admin";

const OTHER = "/console/";

createRoot(document.getElementById("root") as HTMLElement).render(
  <QueryClientProvider client={queryClient}>
    <Theme
      colours={{ light: "#0b7a6f", lightHover: "#08655c", dark: "#2bb5a5", darkHover: "#5fd0c3", tint: "#e3f5f2" }}
    >
      <BrowserRouter basename="/admin">
        <SessionGate login={<Login end="admin" other={OTHER} />} waiting={<Waiting />} setUp={<MustSetUp />}>
          <Admin other={OTHER} />
        </SessionGate>
      </BrowserRouter>
    </Theme>
  </QueryClientProvider>,
);
