"""The sample documents' words. All of it was written for this project; people, companies and
numbers are invented. A block is (kind, content): h1, h2, p, li, table (rows of cells), page."""

MEMO = ("en", "Relocation of the Leeds support office", [
    ("h1", "Memorandum"),
    ("p", "To: All support staff, Leeds\nFrom: Margaret Whitfield, Director of Operations\n"
          "Date: 12 January 2026\nSubject: Relocation of the Leeds support office"),
    ("p", "Northgate Logistics Ltd will move its Leeds support office from Wellington Street to "
          "Kirkstall Forge on Monday, 2 March 2026. The lease at Wellington Street ends on 31 March "
          "2026 and the landlord, Harrow & Pike Estates, asked for a rent of £486,000 a year for a "
          "renewal, an increase of 38 per cent. The new building costs £312,500 a year, service "
          "charge included, and has its own railway station."),
    ("p", "The move has a budget of £148,000. Of this, £61,200 goes to Daleside Removals, £54,000 "
          "to the network and telephone installation by Corvus Networks, and the rest to furniture "
          "and signs. Priya Raman leads the project; Tom Ashworth is responsible for the network."),
    ("p", "What this means for you:"),
    ("li", "Pack your desk by Thursday, 26 February, 17:00. Crates arrive on 19 February."),
    ("li", "On Friday, 27 February everybody works from home. The telephone system is switched "
           "over between 18:00 and 22:00 that evening."),
    ("li", "Parking permits must be requested from Priya Raman by 6 February. There are 44 spaces "
           "for 71 people, so cyclists and train passengers are asked not to apply."),
    ("li", "Season tickets to Kirkstall Forge are refunded up to £95 a month until December 2026."),
    ("p", "Two risks remain. The city council has not yet approved the sign on Abbey Road, and the "
          "fibre line depends on road works that Yorkshire Water has announced for the second half "
          "of February. If the line is late, Corvus Networks will provide a radio link with 500 "
          "Mbit/s at its own cost."),
    ("p", "Questions go to priya.raman@northgate-logistics.example or to extension 4417. There is "
          "a visit to the new building on 4 February at 15:30; please sign the list at reception."),
])

PROTOKOLL = ("de", "Protokoll der Sitzung des Bauausschusses", [
    ("h1", "Protokoll der 14. Sitzung des Bauausschusses"),
    ("p", "Ort: Rathaus Lindenau, Großer Saal\nDatum: 18. November 2025, 19:00 bis 21:25 Uhr\n"
          "Vorsitz: Bürgermeisterin Dr. Sabine Köhler\nProtokoll: Jörg Brückner"),
    ("p", "Anwesend waren neun von elf Mitgliedern. Entschuldigt fehlten Herr Öztürk und Frau "
          "Weiß-Hartmann. Die Beschlussfähigkeit wurde festgestellt; das Protokoll der 13. Sitzung "
          "wurde ohne Änderung genehmigt."),
    ("h2", "1. Sanierung der Grundschule am Mühlbach"),
    ("p", "Architekt Thomas Grünewald vom Büro Grünewald & Partner stellte den Stand vor. Das Dach "
          "ist zu 80 Prozent gedeckt, der Einbau der Fenster beginnt am 1. Dezember 2025. Die "
          "Kosten steigen von 3.420.000 € auf 3.685.000 €, weil unter dem Turnhallenboden "
          "Feuchteschäden gefunden wurden. Der Ausschuss stimmte dem Nachtrag der Firma Holzbau "
          "Süßmilch GmbH über 187.400 € mit sieben zu zwei Stimmen zu."),
    ("h2", "2. Radweg nach Oberröblingen"),
    ("p", "Das Land fördert den Radweg mit 640.000 €, wenn der Bau bis zum 30. Juni 2026 begonnen "
          "wird. Zwei Grundstücke fehlen noch. Frau Köhler führt die Gespräche mit den Eigentümern "
          "und berichtet im Januar. Herr Brückner klärt mit der unteren Naturschutzbehörde, ob die "
          "Hecke am Galgenberg versetzt werden darf."),
    ("h2", "3. Verschiedenes"),
    ("p", "Frau Jäger wies auf die defekte Straßenbeleuchtung in der Körnerstraße hin. Die "
          "Stadtwerke sagten eine Reparatur bis 5. Dezember zu. Anfragen bitte an "
          "bauamt@lindenau.example oder telefonisch unter 034929 55-120."),
    ("p", "Die nächste Sitzung findet am 20. Januar 2026 um 19:00 Uhr statt."),
])

INCIDENT = ("en", "Incident report: payment confirmations delayed", [
    ("h1", "Incident report: payment confirmations delayed"),
    ("p", "Incident: PAY-2291. Severity: 2. Author: Elena Marchetti. Reviewed by Daniel Osei."),
    ("h2", "Summary"),
    ("p", "On 14 March 2026 between 09:12 and 11:47 UTC, confirmations for card payments reached "
          "merchants up to 94 minutes late. 18,320 payments worth €1.27 million were affected. No "
          "payment was lost and none was charged twice. Three merchants, among them Lumen Books and "
          "Café Zentral, shipped goods late and asked for compensation."),
    ("h2", "Timeline"),
    ("table", [["Time (UTC)", "Event"],
               ["09:05", "Release 4.18 of the ledger service is rolled out to Frankfurt."],
               ["09:12", "Queue ledger.confirm begins to grow."],
               ["09:58", "Lumen Books reports missing confirmations to support@paywell.example."],
               ["10:20", "Daniel Osei declares an incident."],
               ["11:02", "The release is rolled back."],
               ["11:47", "The queue is empty again."]]),
    ("h2", "Root cause"),
    ("p", "Release 4.18 changed the lookup of exchange rates from an in-memory table to a call to "
          "the rates service for every confirmation. The call takes 40 ms, so one worker could no "
          "longer handle more than 25 confirmations a second. The alarm on the queue length did not "
          "fire because its threshold had been raised to 50,000 during the sale in November 2025 "
          "and never lowered."),
    ("h2", "What we will do"),
    ("li", "Exchange rates are read once a minute and kept in memory. Owner: Elena Marchetti, due "
           "20 March 2026."),
    ("li", "The alarm compares the age of the oldest message, not the number of messages. Owner: "
           "Daniel Osei, due 27 March 2026."),
    ("li", "Merchants are credited 15 per cent of the March fee, about €8,400 in all. Owner: "
           "Hannah Lindqvist, finance."),
    ("li", "Load tests run with production volumes before each release. Owner: Elena Marchetti, "
           "due 30 April 2026."),
])

NOTES_FR = ("fr", "Notes de version du portail fournisseurs 3.2", [
    ("h1", "Notes de version du portail fournisseurs 3.2"),
    ("p", "Publication : 9 février 2026. Responsable produit : Amélie Fontaine."),
    ("h2", "Nouveautés"),
    ("li", "Les fournisseurs déposent désormais leurs factures au format électronique. Le délai de "
           "traitement passe de onze à quatre jours ouvrés en moyenne."),
    ("li", "Le tableau de bord affiche les montants en attente par société. Au 31 janvier 2026, ils "
           "s’élevaient à 2 348 000 € pour le groupe Vallombreuse."),
    ("li", "La connexion à deux facteurs devient obligatoire le 1er mars 2026 pour tous les comptes "
           "ayant accès aux coordonnées bancaires."),
    ("h2", "Corrections"),
    ("li", "Les accents des raisons sociales étaient perdus lors de l’export ; c’est corrigé pour "
           "« Établissements Lefèvre » et 212 autres fournisseurs."),
    ("li", "Un bon de commande supérieur à 100 000 € pouvait être validé sans seconde signature. Le "
           "contrôle interne, dirigé par Benoît Garnier, a vérifié les 17 commandes concernées : "
           "aucune irrégularité."),
    ("h2", "Points connus"),
    ("p", "L’import des catalogues de plus de 20 000 articles échoue encore avec certains "
          "navigateurs. Une solution est attendue pour la version 3.2.1, prévue le 23 février. En "
          "attendant, écrivez à support@portail-vallombreuse.example ou appelez le 01 99 00 45 12."),
])

PRESS = ("en", "Aldermoor Wind opens its third farm", [
    ("h1", "Aldermoor Wind opens its third farm off the coast of Fife"),
    ("p", "Dundee, 5 May 2026. Aldermoor Wind plc today put its third wind farm into service. The "
          "28 turbines of Inch Sands stand 19 kilometres off the coast of Fife and produce up to "
          "392 megawatts, enough for 410,000 homes. The farm cost £1.06 billion, £40 million less "
          "than planned."),
    ("p", "“We finished eleven weeks early, and nobody was hurt,” said Fiona Carmichael, chief "
          "executive of Aldermoor Wind. “That is owed to the crews of three ports.” The turbines "
          "were assembled in Methil by Nordhavn Offshore A/S; the cables came from Hartlepool."),
    ("h2", "Key figures"),
    ("table", [["Measure", "Inch Sands", "All farms"],
               ["Turbines", "28", "81"],
               ["Capacity", "392 MW", "951 MW"],
               ["Investment", "£1.06 billion", "£2.4 billion"],
               ["Jobs in operation", "64", "175"]]),
    ("h2", "Next steps"),
    ("p", "A fourth farm, Bell Shoal, has been applied for. The Scottish Government expects to "
          "decide by October 2026. Aldermoor Wind has signed a contract with the retailer Brae "
          "Foods to deliver 120 gigawatt hours a year from 2028, worth about £9.5 million."),
    ("li", "Visitors’ centre in Anstruther: opens on 1 June 2026, free entry."),
    ("li", "Fund for coastal communities: £1.2 million a year for 25 years."),
    ("p", "Press contact: Callum Reid, press@aldermoor-wind.example, +44 1632 960 214."),
])

AVISO = ("es", "Aviso de licitación: alumbrado público", [
    ("h1", "Aviso de licitación: renovación del alumbrado público"),
    ("p", "El Ayuntamiento de Villanueva del Arroyo convoca una licitación pública para la "
          "renovación del alumbrado del casco antiguo y del polígono industrial El Olivar. El "
          "expediente lleva el número 2026/017."),
    ("h2", "Objeto y presupuesto"),
    ("p", "Se sustituirán 1.340 luminarias de sodio por lámparas LED con regulación nocturna. El "
          "presupuesto base es de 892.500 € sin IVA, de los cuales el Fondo Europeo de Desarrollo "
          "Regional aporta 535.500 €. El plazo de ejecución es de nueve meses desde la firma."),
    ("h2", "Calendario"),
    ("table", [["Fecha", "Trámite"],
               ["16 de febrero de 2026", "Publicación del anuncio"],
               ["2 de marzo de 2026", "Visita al lugar de las obras, 10:00"],
               ["27 de marzo de 2026", "Fin del plazo de presentación, 14:00"],
               ["15 de abril de 2026", "Apertura de las ofertas"]]),
    ("h2", "Condiciones"),
    ("p", "Las empresas deben acreditar una facturación anual mínima de 600.000 € y tres obras "
          "similares desde 2021. Se exige una garantía del 5 % del importe adjudicado. La oferta "
          "económica cuenta 55 puntos, la eficiencia energética 30 y el mantenimiento 15."),
    ("p", "Consultas: Begoña Muñoz Peña, jefa de contratación, contratacion@villanueva-arroyo.example, "
          "teléfono 900 555 018."),
])

LETTRE = ("fr", "La lettre du musée des Forges", [
    ("h1", "La lettre du musée des Forges, printemps 2026"),
    ("p", "Chères amies, chers amis du musée, la réouverture approche. Après quatorze mois de "
          "travaux, le bâtiment de 1884 accueillera de nouveau le public le samedi 11 avril 2026 à "
          "10 heures. La ministre de la Culture et le maire de Saint-Éloi, Patrick Delmas, seront "
          "présents."),
    ("h2", "Ce qui change"),
    ("li", "La halle de coulée est accessible aux fauteuils roulants grâce à un ascenseur de "
           "230 000 € offert par la fondation Marchand."),
    ("li", "L’exposition « Feu et fer » réunit 160 pièces, dont 22 prêtées par le musée de Völklingen."),
    ("li", "Le billet passe à 9 €, avec gratuité jusqu’à 18 ans et le premier dimanche du mois."),
    ("p", "Le coût total des travaux est de 4,7 millions d’euros. La région en a payé 45 %, "
          "l’association des amis du musée a réuni 318 000 €. Merci à nos 1 126 donateurs."),
    ("h2", "Agenda"),
    ("table", [["Date", "Rendez-vous"],
               ["18 avril", "Conférence de Claire Vasseur : le travail des enfants aux forges"],
               ["9 mai", "Atelier de fonte, dès 8 ans, 12 €"],
               ["23 mai", "Nuit des musées, entrée libre jusqu’à minuit"]]),
    ("p", "Réservations : accueil@musee-des-forges.example ou 03 99 00 27 61."),
])

REVIEW = ("en", "Annual review 2025 of the Harbour Trust", [
    ("h1", "The Harbour Trust: annual review 2025"),
    ("p", "Published on 20 February 2026 by the trustees. Chair: Dame Judith Okafor."),
    ("h2", "The year in short"),
    ("p", "The Harbour Trust helps people who have lost their home to find one and to keep it. In "
          "2025 we housed 214 people, 31 more than the year before, in Bristol, Newport and "
          "Gloucester. Of those who moved in during 2023, 88 per cent still live in their flat. The "
          "average time from first contact to a key was 71 days, down from 96."),
    ("p", "Our income was £3,482,000. The largest gift, £400,000, came from the Penhallow "
          "Foundation for the workshop in Bedminster, which Councillor Imran Siddiqui opened on 9 "
          "September 2025. Forty-six people have learned a trade there since, and nineteen of them "
          "have a job."),
    ("h2", "What did not go well"),
    ("p", "The project in Gloucester started five months late because the contractor, Severn Build "
          "Ltd, went into administration in March. We lost a deposit of £62,000, of which the "
          "insurance has paid £41,500. Two of seven team leaders left. We have raised pay by 6.5 "
          "per cent and now ask every team leader for their reasons twice a year."),
    ("page", ""),
    ("h2", "Accounts"),
    ("table", [["Item", "2024", "2025"],
               ["Gifts and legacies", "£1,204,000", "£1,655,000"],
               ["Local authorities", "£1,390,000", "£1,427,000"],
               ["Rents", "£371,000", "£400,000"],
               ["Total income", "£2,965,000", "£3,482,000"],
               ["Housing and support", "£2,310,000", "£2,688,000"],
               ["Workshop", "£0", "£337,000"],
               ["Administration", "£298,000", "£311,000"]]),
    ("p", "The auditors, Marlowe & Finch LLP, certified the accounts on 30 January 2026 without "
          "reservation. Reserves stand at £1.9 million, which covers seven months."),
    ("h2", "Plans for 2026"),
    ("li", "Buy twelve flats in Newport for at most £1.7 million, with a loan of the Severn Bank."),
    ("li", "Open a second workshop in Gloucester by November 2026, led by Rhiannon Pugh."),
    ("li", "Halve the number of nights our guests spend in bed and breakfast rooms."),
    ("p", "Write to us: hello@harbour-trust.example, 14 Quay Street, Bristol, +44 1632 960 077."),
])

MIETVERTRAG = ("de", "Gewerbemietvertrag (Auszug)", [
    ("h1", "Gewerbemietvertrag (Auszug)"),
    ("p", "zwischen der Speicherhof Immobilien GmbH, vertreten durch Herrn Matthias Böttcher, "
          "Am Alten Hafen 3, 18055 Rostock (Vermieterin), und der Druckerei Lüders & Söhne KG, "
          "vertreten durch Frau Anke Lüders, Kröpeliner Straße 41, 18055 Rostock (Mieterin)."),
    ("h2", "§ 1 Mietgegenstand"),
    ("p", "Vermietet werden im Erdgeschoss des Gebäudes Am Alten Hafen 5 Räume mit 640 m² zur "
          "Nutzung als Druckerei, dazu acht Stellplätze. Die Tragfähigkeit des Bodens beträgt 1.500 "
          "kg je m². Die Mieterin hat die Räume am 3. Dezember 2025 besichtigt."),
    ("h2", "§ 2 Mietzeit"),
    ("p", "Das Mietverhältnis beginnt am 1. April 2026 und läuft zehn Jahre, also bis zum 31. März "
          "2036. Die Mieterin kann es zweimal um fünf Jahre verlängern, wenn sie dies spätestens "
          "zwölf Monate vor Ablauf schriftlich erklärt."),
    ("h2", "§ 3 Miete und Kaution"),
    ("p", "Die monatliche Miete beträgt 5.760,00 € zuzüglich Umsatzsteuer, die Vorauszahlung auf "
          "die Betriebskosten 1.120,00 €. Die Miete ist bis zum dritten Werktag auf das Konto DE02 "
          "1203 0000 0000 2020 51 zu zahlen. Sie ändert sich ab 2028 mit dem Verbraucherpreisindex, "
          "sobald dieser um mehr als fünf Prozent gestiegen ist. Die Mieterin leistet bis zum 15. "
          "März 2026 eine Kaution von 17.280,00 € durch Bankbürgschaft."),
    ("page", ""),
    ("h2", "§ 4 Umbauten"),
    ("p", "Die Vermieterin baut bis zum 20. März 2026 eine Lüftungsanlage ein und trägt davon "
          "höchstens 85.000,00 €. Was darüber hinausgeht, zahlt die Mieterin. Ist die Anlage am 1. "
          "Mai 2026 nicht abgenommen, mindert sich die Miete bis zur Abnahme um 40 Prozent."),
    ("h2", "§ 5 Haftung und Versicherung"),
    ("p", "Die Mieterin schließt eine Betriebshaftpflichtversicherung über mindestens 5.000.000,00 "
          "€ ab und weist sie vor der Übergabe nach. Für Schäden durch Hochwasser haftet die "
          "Vermieterin nicht, soweit der Pegel Warnemünde 1,80 m überschreitet."),
    ("h2", "§ 6 Schlussbestimmungen"),
    ("p", "Änderungen bedürfen der Schriftform. Gerichtsstand ist Rostock. Mitteilungen gehen an "
          "verwaltung@speicherhof.example und an anke.lueders@druckerei-lueders.example."),
    ("p", "Rostock, den 15. Januar 2026"),
])

AUDIT = ("fr", "Rapport d’audit de sécurité", [
    ("h1", "Rapport d’audit de sécurité du système de réservation"),
    ("p", "Client : Compagnie des bacs de l’Estuaire. Prestataire : cabinet Rempart Conseil. "
          "Auditeurs : Nadia Belkacem et Hugo Perrin. Période : du 12 au 23 janvier 2026."),
    ("h2", "Synthèse"),
    ("p", "L’audit a porté sur le site de réservation, l’application des contrôleurs et les trois "
          "serveurs hébergés à Nantes. Nous avons relevé 14 faiblesses, dont une critique. Aucune "
          "trace d’une attaque réussie n’a été trouvée dans les journaux depuis août 2025."),
    ("table", [["Niveau", "Nombre", "Délai conseillé"],
               ["Critique", "1", "48 heures"],
               ["Élevé", "4", "30 jours"],
               ["Moyen", "6", "90 jours"],
               ["Faible", "3", "selon les moyens"]]),
    ("h2", "Faiblesse critique"),
    ("p", "Le numéro d’une réservation suffisait pour lire le nom, le téléphone et l’immatriculation "
          "du voyageur. Les numéros se suivant, 61 400 dossiers étaient accessibles. La compagnie, "
          "prévenue le 14 janvier à 16 h 20, a fermé l’accès le jour même à 18 h 05. La déléguée à "
          "la protection des données, Solène Rivière, a informé l’autorité de contrôle le 16 janvier."),
    ("page", ""),
    ("h2", "Autres constats"),
    ("li", "Les sauvegardes ne sont pas chiffrées et le dernier essai de restauration date de mars 2024."),
    ("li", "Neuf anciens employés disposent encore d’un compte actif."),
    ("li", "L’application des contrôleurs garde le mot de passe en clair sur le téléphone."),
    ("li", "Les mises à jour du serveur de paiement ont 190 jours de retard."),
    ("h2", "Coût estimé"),
    ("p", "Les corrections demandent 38 jours de travail, soit environ 26 600 € hors taxes. Le "
          "chiffrement des sauvegardes ajoute 4 800 € par an. Un contrôle est prévu du 4 au 6 mai "
          "2026 ; il est compris dans le prix de 19 500 €."),
    ("p", "Contact : nadia.belkacem@rempart-conseil.example, 02 99 00 63 18."),
])

AGREEMENT = ("en", "Services agreement (excerpt)", [
    ("h1", "Services agreement (excerpt)"),
    ("p", "This agreement is made on 3 February 2026 between Calder Valley Health Trust, 2 Infirmary "
          "Road, Halifax (the Client), represented by Dr Oliver Hayes, and Brightline Data Ltd, 77 "
          "Canal Wharf, Manchester (the Supplier), represented by Ms Grace Adeyemi."),
    ("h2", "1. Services"),
    ("p", "The Supplier moves the Client’s patient appointment system to a new data centre and runs "
          "it from 1 June 2026 to 31 May 2029. The move takes place over the weekend of 16 and 17 "
          "May 2026 and must not interrupt the emergency department for more than thirty minutes."),
    ("h2", "2. Charges"),
    ("table", [["Service", "Price", "Due"],
               ["Planning and move", "£184,000", "on acceptance"],
               ["Operation, year 1", "£23,500 a month", "monthly"],
               ["Operation, years 2 and 3", "£22,100 a month", "monthly"],
               ["Additional work", "£780 a day", "monthly"]]),
    ("p", "All prices exclude VAT. Invoices are sent to accounts@calder-valley.example and are due "
          "within 30 days. Late payments bear interest at 4 per cent above the base rate of the "
          "Bank of England."),
    ("h2", "3. Service levels"),
    ("p", "The system is available 99.9 per cent of each month. For every full hour beyond that the "
          "Supplier credits 2 per cent of the monthly charge, at most 30 per cent. Critical faults "
          "reported on +44 1632 960 310 are answered within 15 minutes at any time of day."),
    ("h2", "4. Liability and termination"),
    ("p", "Either party’s liability is limited to £2,000,000 in any year, except for death, injury "
          "and the loss of patient data. The Client may end the agreement with three months’ notice "
          "if availability falls below 99 per cent in two months running. The Supplier names Ms "
          "Joanna Kowalczyk as data protection officer."),
])

ACTA = ("es", "Acta de la reunión del consejo", [
    ("h1", "Acta de la reunión del consejo de administración"),
    ("p", "Sociedad: Aceites Sierra Alta, S.A. Fecha: 22 de enero de 2026. Lugar: Jaén, calle "
          "Hurtado 18. Asistentes: doña Carmen Ibáñez Robles (presidenta), don Álvaro Quintana, don "
          "Ignacio Núñez y doña Lucía Ferrer, que actúa como secretaria."),
    ("h2", "1. Resultados de 2025"),
    ("p", "La directora financiera, doña Lucía Ferrer, informó de unas ventas de 41,3 millones de "
          "euros, un 7 % más que en 2024, y de un beneficio de 2,9 millones. La exportación a "
          "Alemania y Japón creció un 18 %. La cosecha fue menor de lo previsto por la sequía: 8.200 "
          "toneladas frente a 9.600."),
    ("h2", "2. Nueva almazara"),
    ("p", "Don Álvaro Quintana presentó tres ofertas para la maquinaria. El consejo aprueba por "
          "unanimidad la de Maquinaria Olearia del Sur, por 3.150.000 €, con entrega el 30 de "
          "septiembre de 2026. El Banco de Andalucía Oriental concede un préstamo de 2.200.000 € a "
          "ocho años al 3,4 %."),
    ("h2", "3. Acuerdos"),
    ("li", "Repartir un dividendo de 0,45 € por acción el 15 de mayo de 2026."),
    ("li", "Nombrar a don Ignacio Núñez responsable de la obra."),
    ("li", "Encargar a la Universidad de Jaén un estudio sobre el riego, con un límite de 48.000 €."),
    ("p", "La próxima reunión será el 19 de marzo de 2026 a las 17:00. Para consultas: "
          "secretaria@aceites-sierra-alta.example. Se levanta la sesión a las 19:40."),
])

ANGEBOT = ("de", "Angebot 2026-0112: Photovoltaikanlage", [
    ("h1", "Angebot 2026-0112: Photovoltaikanlage mit Speicher"),
    ("p", "Sonnenwerk Franken GmbH, Gewerbering 9, 97424 Schweinfurt. Ansprechpartnerin: Stefanie "
          "Rößler, s.roessler@sonnenwerk-franken.example, 09721 55 01 80. Kunde: Gärtnerei Häußler, "
          "Inhaber Ulrich Häußler, Mainleite 27, 97332 Volkach. Datum: 27. Januar 2026."),
    ("p", "Sehr geehrter Herr Häußler, vielen Dank für das Gespräch am 20. Januar. Für die Dächer von "
          "Halle und Gewächshaus bieten wir Ihnen an:"),
    ("table", [["Position", "Menge", "Preis"],
               ["Solarmodul 445 W", "124 Stück", "16.740,00 €"],
               ["Wechselrichter 50 kW", "1 Stück", "4.890,00 €"],
               ["Batteriespeicher 41 kWh", "1 Stück", "19.300,00 €"],
               ["Montage und Gerüst", "pauschal", "11.250,00 €"],
               ["Anmeldung beim Netzbetreiber", "pauschal", "640,00 €"],
               ["Summe ohne Umsatzsteuer", "", "52.820,00 €"]]),
    ("p", "Die Anlage erzeugt nach unserer Berechnung 53.600 kWh im Jahr, von denen Sie etwa 60 "
          "Prozent selbst verbrauchen. Bei einem Strompreis von 29 Cent und einer Einspeisevergütung "
          "von 6,9 Cent sparen Sie rund 10.800 € im Jahr."),
    ("p", "Lieferzeit: acht Wochen nach Auftrag. Zahlung: 40 Prozent bei Auftrag, 50 Prozent bei "
          "Lieferung der Module, 10 Prozent nach Abnahme. Das Angebot gilt bis zum 28. Februar 2026. "
          "Auf die Montage geben wir fünf Jahre Gewähr, auf die Module gibt der Hersteller 25 Jahre."),
    ("p", "Mit freundlichen Grüßen, Stefanie Rößler"),
])

COMPTE_RENDU = ("fr", "Compte rendu de la réunion de chantier n° 8", [
    ("h1", "Compte rendu de la réunion de chantier n° 8"),
    ("p", "Opération : rénovation de la médiathèque de Pont-l’Évesque-sur-Orne. Date : mardi 3 mars "
          "2026, 9 heures. Maître d’ouvrage : la commune, représentée par Mme Isabelle Chauvin. "
          "Architecte : M. Rémi Castaing. Entreprises présentes : Maçonnerie Dubreuil, Toitures du "
          "Bocage, Électricité Noël frères."),
    ("h2", "Avancement"),
    ("p", "Le gros œuvre est achevé. La charpente est posée à 70 % ; Toitures du Bocage annonce la "
          "fin de la couverture pour le 20 mars, soit huit jours de retard à cause du gel. "
          "L’électricien commence le rez-de-chaussée le 9 mars."),
    ("h2", "Décisions"),
    ("li", "L’escalier de secours sera en acier galvanisé. Supplément accepté : 6 340 € hors taxes."),
    ("li", "M. Castaing remet le plan des prises de la salle de lecture avant le 6 mars."),
    ("li", "Maçonnerie Dubreuil répare le mur mitoyen de M. et Mme Lecoq à ses frais avant le 13 mars."),
    ("h2", "Budget"),
    ("table", [["Lot", "Marché", "Engagé"],
               ["Gros œuvre", "412 000 €", "418 900 €"],
               ["Charpente et couverture", "198 500 €", "198 500 €"],
               ["Électricité", "87 300 €", "21 000 €"],
               ["Total", "697 800 €", "638 400 €"]]),
    ("p", "Prochaine réunion : mardi 10 mars 2026 à 9 heures sur place. Contact : "
          "r.castaing@atelier-castaing.example, 02 99 00 88 40."),
])

BRIEF = ("en", "Project brief: digital archive", [
    ("h1", "Project brief: a digital archive for the city theatre"),
    ("p", "Sponsor: Veronica Lindgren, managing director of the City Theatre of Aarfjord. Project "
          "lead: Jonas Bakke. Version 2 of 10 February 2026."),
    ("h2", "Why"),
    ("p", "The theatre owns 38,000 photographs, 2,100 posters and 460 hours of tape from 1921 to "
          "2009. A third of the tapes cannot be played any more. The State Archive gives a grant of "
          "NOK 2.4 million if all of it is scanned and described by 31 December 2027."),
    ("h2", "What"),
    ("li", "Scan photographs and posters at 600 dpi, beginning with the years before 1950."),
    ("li", "Transfer the tapes at Lydstudio Nord in Bergen; NOK 1,150 for each hour."),
    ("li", "Describe every item with title, year, persons and owner of the rights."),
    ("li", "Publish what is free of rights on archive.aarfjord-theatre.example."),
    ("h2", "Budget and team"),
    ("table", [["Item", "NOK"],
               ["Scanner and storage", "410,000"],
               ["Tape transfer", "529,000"],
               ["Two archivists, 18 months", "1,980,000"],
               ["Rights and legal advice", "145,000"],
               ["Sum", "3,064,000"]]),
    ("p", "The theatre pays the NOK 664,000 the grant does not cover. Maria Solheim and Erik "
          "Thorsen have been hired as archivists from 1 April 2026."),
    ("h2", "Risks"),
    ("p", "The rights of the photographer Aksel Munthe, who died in 1983, are claimed by two heirs. "
          "The tapes are stored above the boiler room; they must be moved by the end of March. "
          "Questions: jonas.bakke@aarfjord-theatre.example."),
])
