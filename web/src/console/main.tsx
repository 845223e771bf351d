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
import { BrowserRouter, Route, Routes } from "react-router-dom";
import { Console } from "./Console";
import { AcceptInvitation } from "./pages/AcceptInvitation";
import { Register } from "./pages/Register";

const OTHER = "/admin/";

createRoot(document.getElementById("root") as HTMLElement).render(
  <QueryClientProvider client={queryClient}>
    <Theme
      colours={{ light: "#3454d1", lightHover: "#2743b0", dark: "#7d97ff", darkHover: "#a5b8ff", tint: "#eef2ff" }}
    >
      <BrowserRouter basename="/console">
        <Routes>
          <Route path="/register" element={<Register />} />
          <Route path="/invitation" element={<AcceptInvitation />} />
          <Route
            path="*"
            element={
              <SessionGate login={<Login end="console" other={OTHER} />} waiting={<Waiting />} setUp={<MustSetUp />}>
                <Console other={OTHER} />
              </SessionGate>
            }
          />
        </Routes>
      </BrowserRouter>
    </Theme>
  </QueryClientProvider>,
);
